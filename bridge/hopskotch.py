"""hop's own credentials: the auth file that ``hop auth add`` writes, read and chosen from by hop itself.

A login stays what hop makes of it, librdkafka's configuration, so that whatever hop can log in with, the bridge can.
"""

import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.errors import Misconfigured

__all__ = ["HopCredentials", "NoHopCredentials", "hop_credentials"]

_FAULTS = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, OSError)
"""What hop raises for an auth file that it cannot use: it looks at each value only where it needs it."""


@dataclass(frozen=True, slots=True)
class HopCredentials:
    """A login that hop has for a host.

    Parameters
    ----------
    username
        Its name.
    file
        Where hop has it from.
    config
        librdkafka's configuration for it, with the secret.
    """

    username: str
    file: Path
    config: Mapping[str, Any] = field(repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether it is for connections with TLS."""
        return bool(self.config["security.protocol"] == "SASL_SSL")


@dataclass(frozen=True, slots=True)
class NoHopCredentials:
    """Why hop has no login for a host: a sentence's part for a message."""

    why: str


def hop_credentials(bootstrap: str, username: str) -> HopCredentials | NoHopCredentials:
    """Return hop's login for a broker, chosen by host as hop does.

    Parameters
    ----------
    bootstrap
        ``host:port`` of the broker.
    username
        The user named in the URL, or empty for any.

    Raises
    ------
    Misconfigured
        If hop or its auth file cannot be used, if it has several logins for that host, or one that nobody can log in with.
    """
    try:
        from hop.auth import AmbiguousCredentialError, load_auth, select_matching_auth  # noqa: PLC0415  an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "hop":
            return NoHopCredentials("hop's auth file is not read without hop-client (from a clone: pip install '.[hop]')")
        raise Misconfigured(f"hop-client does not start here ({error}); from a clone: pip install '.[hop]'") from error
    file = _auth_file()
    if file is None:
        return NoHopCredentials("hop's auth file is nowhere, since neither XDG_CONFIG_HOME nor HOME is set")
    try:
        logins = load_auth()
    except FileNotFoundError:
        return NoHopCredentials(f"there is no hop auth file {file}")
    except _FAULTS as error:
        raise _unusable(file, error) from None  # hop's words may repeat a line of it, and that may be the secret
    try:
        found = select_matching_auth(logins, bootstrap, username or None)
    except AmbiguousCredentialError as error:
        names = re.findall(r"^  (\S+)", error.message, re.MULTILINE)
        advice = "remove one of them" if username else f"name one in the URL, such as kafka://{quote(names[0])}@{bootstrap}/"
        raise Misconfigured(
            f"hop's auth file {file} has several logins for {bootstrap}, {', '.join(names)}: {advice}"
        ) from None
    except RuntimeError:
        return NoHopCredentials(f"hop's auth file {file} has none for {bootstrap}")
    return HopCredentials(username=str(found.username), file=file, config=_checked(found, file))


def _auth_file() -> Path | None:
    """Return the file that hop reads, or would if it were there; None if hop would not know where to look."""
    from hop.configure import get_config_path  # noqa: PLC0415  an extra: tom-bridge[hop]

    try:
        own, of_old = (Path(get_config_path(kind)) for kind in ("auth", "general"))
        return of_old if of_old.exists() and not own.exists() else own
    except TypeError:
        return None
    except OSError:  # a folder that this account may not look into, which hop takes for a file that is not there
        return own


def _unusable(file: Path, error: Exception) -> Misconfigured:
    """Say what is wrong with an auth file, and what to do."""
    said = str(error)
    place = re.search(r"\(line \d+ column \d+ char \d+\)", said)
    missing = re.search(r"missing auth property '(\w+)'", said)
    if isinstance(error, OSError):
        wrong = f"cannot be read by this account ({error.strerror})"
    elif "unsafe permissions" in said:
        mode = stat.S_IMODE(file.stat().st_mode)
        wrong = f"has the mode {mode:04o}, with which hop does not use it: chmod 600 {shlex.quote(str(file))}"
    elif missing:
        wrong = f"has an entry without {missing[1]}; correct it, or remove it and add it again with 'hop auth add'"
    elif isinstance(error, KeyError):
        wrong = "names a mechanism that hop does not know; it knows SCRAM-SHA-512, SCRAM-SHA-256, PLAIN and OAUTHBEARER"
    elif place:
        wrong = f"is no valid TOML {place[0]}; correct it, or remove it and use 'hop auth add'"
    else:
        wrong = "is not written as hop needs it, as a list [[auth]] of texts; correct it, or remove it and use 'hop auth add'"
    return Misconfigured(f"hop's auth file {file} {wrong}")


def _checked(found: Any, file: Path) -> dict[str, Any]:
    """Return librdkafka's configuration for a login of hop's; of what is missing there, librdkafka speaks in riddles."""
    entry = f"hop's auth file {file}, {found.username}"
    config: dict[str, Any] = dict(found())
    if found.is_token and not (found.token_endpoint or found.token_command):
        raise Misconfigured(f"{entry}: OAUTHBEARER needs a token_endpoint or a token_command")
    if not found.token_command and not (isinstance(found.password, str) and found.password):
        raise Misconfigured(f"{entry}: the password is missing, or no text in quotes; add it again with 'hop auth add --force'")
    if "oauth_cb" in config:
        config["oauth_cb"] = _without_its_words(config["oauth_cb"])
    # librdkafka does without it where a token says who it is; hop calls the sender by it.
    return {"sasl.username": found.username, **config}


def _without_its_words(callback: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return hop's callback for a token, failing in words of ours: the command's output may have the token in it."""

    def get_token(setting: str) -> Any:
        try:
            return callback(setting)
        except Exception:  # noqa: BLE001  whatever a command does
            raise RuntimeError("the token_command gives no token") from None

    return get_token
