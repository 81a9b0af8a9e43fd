"""What the command line prints: texts of others stay texts, on one line."""

import io

import pytest
from rich.console import Console

from bridge.cli import console
from bridge.cli.console import counted, warn


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to stderr, as on a terminal."""
    written = io.StringIO()
    monkeypatch.setattr(console.err, "_file", written)  # its property `file` would be left as stderr is now
    return written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("one\ntom-bridge: forged", r"one\ntom-bridge: forged"),
        ("\r\x1b[2J", r"\r\x1b[2J"),
        (":bomb: :smile:", ":bomb: :smile:"),
        ("[red]a[/] [link=x]", "[red]a[/] [link=x]"),
    ],
)
def test_a_warning_is_one_line_with_the_text_as_it_is(said: io.StringIO, text: str, shown: str) -> None:
    warn(text)

    assert said.getvalue() == f"warning: {shown}\n"


@pytest.mark.parametrize("printer", [console.out, console.err])
def test_no_console_turns_words_into_pictures(printer: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(printer, "_file", written)
    printer.print("from My :bomb: TOM")

    assert written.getvalue() == "from My :bomb: TOM\n"


def test_a_count_has_its_noun() -> None:
    assert [counted(number, "datum") for number in (0, 1, 2_000)] == ["0 datums", "1 datum", "2,000 datums"]
