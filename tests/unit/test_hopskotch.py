"""hop's auth file, read by hop itself: which login is taken, and what is said of a file that cannot be used."""

import sys
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
import trustme

from bridge.errors import Misconfigured
from bridge.hopskotch import HopCredentials, NoHopCredentials, hop_credentials
from bridge.kafka.connection import Connection, connect_settings
from bridge.settings import StreamEntry

SECRET = "hunter2-canary"
PUBLIC = "kafka.scimma.org:9092"
Writes = Callable[..., Path]


@pytest.fixture
def auth_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Writes:
    """Write hop's auth file: entries, or a text as it is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(*entries: dict[str, object], text: str = "", mode: int = 0o600, name: str = "auth.toml") -> Path:
        file = tmp_path / "hop" / name
        file.parent.mkdir(exist_ok=True)
        lines = [f"{key} = {value!r}" for entry in entries for key, value in (("[[auth]]", None), *entry.items())]
        file.write_text(text or "\n".join(line.removesuffix(" = None") for line in lines) + "\n")
        file.chmod(mode)
        return file

    return write


def login(username: str = "alice", **more: object) -> dict[str, object]:
    return {"username": username, "password": SECRET, **more}


def found(bootstrap: str = PUBLIC, username: str = "") -> HopCredentials:
    credentials = hop_credentials(bootstrap, username)
    assert isinstance(credentials, HopCredentials), credentials
    return credentials


def refused(bootstrap: str = PUBLIC, username: str = "") -> str:
    with pytest.raises(Misconfigured) as error:
        hop_credentials(bootstrap, username)
    chain, said = error.value, str(error.value)
    assert SECRET not in said + repr(chain.__cause__)
    assert chain.__suppress_context__, "a traceback would show hop's words"
    return said


def security(connection: Connection) -> dict[str, object]:
    return {key: value for key, value in connection.config.items() if key.startswith(("sasl", "ssl", "security"))}


def test_the_login_of_hop_auth_add_becomes_scram_over_tls(auth_file: Writes) -> None:
    file = auth_file(login(hostname="kafka.scimma.org", protocol="SASL_SSL", mechanism="SCRAM-SHA-512"))
    connection = connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.scimma.org/"))

    assert connection.credential == f"alice (hop's auth file {file})"
    assert connection.principal == "User:alice"
    assert SECRET not in repr(connection)
    assert security(connection) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "alice",
        "sasl.password": SECRET,
        "ssl.ca.location": certifi.where(),
    }


@pytest.mark.parametrize(
    ("bootstrap", "name"),
    [
        ("kafka.scimma.org:9092", "public"),
        ("dev.kafka.scimma.org:9092", "dev"),
        ("kafka.example.org:9093", "port"),
        ("elsewhere.example.org:9092", "anywhere"),
    ],
)
def test_the_host_chooses_among_logins(auth_file: Writes, bootstrap: str, name: str) -> None:
    auth_file(
        login("anywhere"),
        login("public", hostname="kafka.scimma.org"),
        login("dev", hostname="dev.kafka.scimma.org:9092"),
        login("port", hostname="kafka.example.org:9093"),
    )

    assert found(bootstrap).username == name


def test_the_user_in_the_url_chooses_among_logins_for_one_host(auth_file: Writes) -> None:
    auth_file(login("alice", hostname="kafka.scimma.org"), login("b o b", hostname="kafka.scimma.org"))
    connection = connect_settings("s", StreamEntry(BASE_URL="kafka://b%20o%20b@kafka.scimma.org/"))

    assert connection.config["sasl.username"] == "b o b"


def test_several_logins_for_one_host_are_named_and_how_to_choose(auth_file: Writes) -> None:
    auth_file(login("zoe"), login("bob", hostname="kafka.scimma.org"), login("alice-1", hostname="kafka.scimma.org:9092"))

    assert refused().endswith("several logins for kafka.scimma.org:9092, bob, alice-1: name one in the URL, such as "
                              "kafka://bob@kafka.scimma.org:9092/")  # fmt: skip


def test_one_user_twice_for_a_host(auth_file: Writes) -> None:
    auth_file(login(hostname="kafka.scimma.org"), login(hostname="kafka.scimma.org:9092"))

    assert refused(username="alice").endswith("several logins for kafka.scimma.org:9092, alice, alice: remove one of them")


@pytest.mark.parametrize("entries", [[], [login(hostname="kafka.example.org")], [login(hostname="kafka.scimma.org:9093")]])
def test_no_login_for_that_host(auth_file: Writes, entries: list[dict[str, object]]) -> None:
    file = auth_file(*entries, text="" if entries else "auth = []\n")

    assert hop_credentials(PUBLIC, "") == NoHopCredentials(f"hop's auth file {file} has none for {PUBLIC}")
    with pytest.raises(Misconfigured, match=r"no USERNAME and PASSWORD, and hop's auth file .* has none for kafka\.scimma"):
        connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.scimma.org/"))


def test_no_file(auth_file: Writes, tmp_path: Path) -> None:
    assert hop_credentials(PUBLIC, "") == NoHopCredentials(f"there is no hop auth file {tmp_path}/hop/auth.toml")


def test_the_file_is_below_home_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hop_credentials(PUBLIC, "") == NoHopCredentials(f"there is no hop auth file {tmp_path}/.config/hop/auth.toml")

    monkeypatch.delenv("HOME")
    assert "neither XDG_CONFIG_HOME nor HOME" in str(hop_credentials(PUBLIC, ""))


def test_logins_in_the_file_of_old(auth_file: Writes) -> None:
    file = auth_file(text=f'[auth]\nusername = "alice"\npassword = "{SECRET}"\n', name="config.toml")

    assert (found().username, found().file) == ("alice", file)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read(auth_file: Writes, mode: int) -> None:
    file = auth_file(login(), mode=mode)

    assert refused() == f"hop's auth file {file} has the mode {mode:04o}, with which hop does not use it: chmod 600 {file}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"[[auth]]\nusername = 'a'\npassword = {SECRET}\n", r"no valid TOML \(line 3 column 1 char 24\)"),
        ("[[auth]]\nusername = 'a'\npassword = 2020-hunter2-canary\n", r"no valid TOML \(line 3"),
        (f"[[auth]]\nusername = 'a'\npassword = '{SECRET}\n", r"no valid TOML \(line 3"),
        (f"[[auth]]\npassword = '{SECRET}'\n", r"an entry without username; correct it, or remove it and add it again"),
        ("[[auth]]\nusername = 'a'\n", r"an entry without password"),
        (f"[[auth]]\nusername = 'a'\npassword = '{SECRET}'\nmechanism = 'GSSAPI'\n", "a mechanism that hop does not know"),
        (f"[[auth]]\nusername = 'a'\npassword = '{SECRET}'\nmechanism = 1\n", r"not written as hop needs it"),
        (f"auth = ['{SECRET}']\n", r"not written as hop needs it, as a list \[\[auth\]\]"),
        (f"[login]\npassword = '{SECRET}'\n", r"not written as hop needs it"),
        ("[[auth]]\nusername = 'a'\npassword = 12345\n", r"a: the password is missing, or no text in quotes"),
        ("[[auth]]\nusername = 'a'\npassword = ''\n", r"a: the password is missing"),
        ("[[auth]]\nusername = 'a'\npassword = ''\ntoken_endpoint = 'https://t/'\n", r"a: the password is missing"),
        ("[[auth]]\nusername = 'a'\npassword = 'b'\nmechanism = 'OAUTHBEARER'\n", r"needs a token_endpoint or a token_command"),
    ],
)
def test_a_file_that_cannot_be_used_is_described_without_what_is_in_it(auth_file: Writes, text: str, says: str) -> None:
    file = auth_file(text=text)
    with pytest.raises(Misconfigured, match=says) as error:
        hop_credentials(PUBLIC, "")

    assert str(file) in str(error.value)
    assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_file_that_is_a_folder(auth_file: Writes, tmp_path: Path) -> None:
    (tmp_path / "hop" / "auth.toml").mkdir(parents=True, mode=0o700)

    assert "cannot be read by this account (Is a directory)" in refused()


def test_plain_passwords_and_an_authority_of_its_own(auth_file: Writes, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    auth_file(login(mechanism="PLAIN", ssl_ca_location=str(authority)))
    config = connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.example.org/")).config

    assert (config["security.protocol"], config["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert config["ssl.ca.location"] == str(authority)

    authority.with_name("other.pem").write_bytes(authority.read_bytes())
    entry = StreamEntry(BASE_URL="kafka://kafka.example.org/", SSL_CA_LOCATION=str(authority.with_name("other.pem")))
    assert connect_settings("s", entry).config["ssl.ca.location"] == entry.SSL_CA_LOCATION


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_authorities_that_cannot_be_used_are_named(auth_file: Writes, tmp_path: Path, content: bytes | None) -> None:
    authority = tmp_path / "ca.pem"
    if content is not None:
        authority.write_bytes(content)
    auth_file(login(ssl_ca_location=str(authority)))

    with pytest.raises(
        Misconfigured, match=r"login alice \(hop's auth file .*: the certificate authorities in .*ca\.pem cannot"
    ):
        connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.example.org/"))


def test_an_unencrypted_login_leaves_this_machine_only_when_asked_to(auth_file: Writes) -> None:
    auth_file(login(protocol="SASL_PLAINTEXT"))
    with pytest.raises(Misconfigured, match=r"protocol SASL_PLAINTEXT for alice, so that everything would go unencrypted"):
        connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.example.org/"))

    for entry in (
        StreamEntry(BASE_URL="kafka://kafka.example.org/", ALLOW_PLAINTEXT=True),
        StreamEntry(BASE_URL="kafka://alice@localhost/"),
    ):
        assert security(connect_settings("s", entry)) == {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "alice",
            "sasl.password": SECRET,
        }


def test_a_login_with_a_token_endpoint(auth_file: Writes) -> None:
    auth_file(login(token_endpoint="https://login.example.org/token"))
    config = found().config

    assert (config["sasl.mechanism"], config["sasl.username"]) == ("OAUTHBEARER", "alice")
    assert config["sasl.oauthbearer.token.endpoint.url"] == "https://login.example.org/token"
    assert config["sasl.oauthbearer.client.secret"] == SECRET
    assert SECRET not in repr(found())


def test_a_token_command_that_fails_says_nothing_of_what_it_wrote(auth_file: Writes, caplog: pytest.LogCaptureFixture) -> None:
    auth_file(login(password="", token_command=f"echo {SECRET}; echo {SECRET} >&2; false"))

    with pytest.raises(RuntimeError, match=r"^the token_command gives no token$") as error:
        found().config["oauth_cb"]("")
    assert error.value.__suppress_context__
    assert SECRET not in caplog.text


def test_without_hop_client_its_file_is_not_read_and_that_is_said(auth_file: Writes, monkeypatch: pytest.MonkeyPatch) -> None:
    auth_file(login())
    monkeypatch.setitem(sys.modules, "hop.auth", None)
    complaint = r"none for alice, and hop's auth file is not read without hop-client \(from a clone: pip"
    with pytest.raises(Misconfigured, match=complaint):
        connect_settings("s", StreamEntry(BASE_URL="kafka://alice@kafka.scimma.org/"))


def test_a_hop_client_without_what_it_needs_is_no_reason_for_plain_text(
    auth_file: Writes, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth_file(login())
    for name in [name for name in sys.modules if name.partition(".")[0] == "hop"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "six", None)

    with pytest.raises(Misconfigured, match=r"hop-client does not start here .*six.*pip install"):
        connect_settings("s", StreamEntry(BASE_URL="kafka://kafka.scimma.org/", ALLOW_PLAINTEXT=True))


def test_on_this_machine_the_file_counts_only_for_a_user_who_is_named(auth_file: Writes) -> None:
    auth_file(login())

    assert connect_settings("s", StreamEntry(BASE_URL="kafka://localhost/")).credential == "none (plain text)"
    assert connect_settings("s", StreamEntry(BASE_URL="kafka://alice@localhost/")).credential.startswith("alice (hop's auth")
