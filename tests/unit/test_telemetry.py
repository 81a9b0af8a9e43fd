"""Names and titles come from other people's events: a terminal must not obey them."""

from bridge.telemetry import printable


def test_control_characters_are_written_out() -> None:
    assert printable("\x1b]0;pwn\x07\x1b[2J") == "\\x1b]0;pwn\\x07\\x1b[2J"


def test_what_can_be_read_stays_as_it_is() -> None:
    text = 'SN 2024abc, "ζ Ori" Å\nsecond line'

    assert printable(text) == text
