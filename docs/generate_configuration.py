"""Write docs/configuration.md from the settings' own models: ``python docs/generate_configuration.py``."""  # noqa: INP001

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bridge.settings import (
    ConsumerSettings,
    EmitterSettings,
    GatewayClient,
    GatewaySettings,
    HermesEntry,
    StreamEntry,
    TomEntry,
)

__all__ = ["SECTIONS", "page"]

PATH = Path(__file__).with_name("configuration.md")

SECTIONS: Mapping[type[BaseModel], tuple[str, str]] = {
    StreamEntry: (
        "`[DATA_SHARING.<key>]`: a stream",
        """\
A Kafka cluster. An entry whose `BASE_URL` begins with `kafka:` is one.

`SOURCE_URL`, `EMIT`, `EMIT_GROUPS`, `HUB` and `DEFAULT_AUTHORS` are for a TOM that emits by itself, in the TOM's `settings.py`;
see [for TOM administrators](tom-administrators.md). The commands of `tom-bridge` check them, and do not use them, but for
`DEFAULT_AUTHORS` where they write in Hermes' form (`FORMAT`).

How the bridge logs in is decided in this order:

1. `USERNAME` and `PASSWORD`: SASL_SSL with SCRAM-SHA-512.
2. Without a `PASSWORD`: hop's own auth file (`hop auth add`), where it has a login for that host. This needs
   `pip install '.[cli,hop]'` from a clone. For a broker on this machine the file counts only if the entry names a user.
3. Neither: plain text, which beyond this machine needs `ALLOW_PLAINTEXT = true`.

If `USER_TOPICS` is not empty, the commands `publish`, `share` and `consume`, and a TOM that emits, take no other topic of this
stream.
A dead-letter topic that is to be created with `tom-bridge topics create` has to be among them.""",
    ),
    TomEntry: (
        "`[DATA_SHARING.<key>]`: a TOM",
        """\
A TOM to write to (`consume`), or to read from (`share`). An entry that is neither a stream nor Hermes is one. It needs
`USERNAME` and `PASSWORD`, or `API_TOKEN`. TOM Toolkit 2.x ignores API tokens, so it needs the password.

`BASE_URL` identifies the TOM: it is what events carry as their source, and what `accept_sources` names. It is compared in
one form: scheme and host in lower case, no default port, one slash at the end.""",
    ),
    HermesEntry: (
        "`[DATA_SHARING.<key>]`: Hermes",
        """\
An entry with `HERMES_API_KEY` or `CREDENTIAL_USERNAME`, as TOM Toolkit has it. The commands `publish` and `share` take
`<key>:<topic>` of it for a destination, and so does a TOM that emits, if the entry has `SOURCE_URL`;
see [sharing to Hermes](hermes.md#sharing-to-hermes). Further keys are allowed, such as TOM Toolkit's `DATA_CONVERTER_CLASS`,
which the bridge does not use.""",
    ),
    ConsumerSettings: (
        "`[consumers.<key>]`: a consumer",
        """\
One consumer service. Its name is the key of its destination TOM in `DATA_SHARING`, and what `tom-bridge consume` is
given.

`max_new_targets_per_hour` is counted by the running process, and begins anew when it is restarted.""",
    ),
    GatewaySettings: (
        "`[gateway]`: the gateway",
        """\
[The door for TOMs that speak to Hermes](gateway.md), `tom-bridge gateway`. In a Django settings module it is the dictionary
`BRIDGE_GATEWAY`.""",
    ),
    GatewayClient: (
        "`[gateway.clients.<name>]`: a client of the gateway",
        """\
A TOM that may publish through the gateway; there has to be at least one.""",
    ),
    EmitterSettings: (
        "`TOM_BRIDGE`: a TOM that emits",
        """\
How the Django app `bridge.emitter` works: a dictionary in the TOM's `settings.py`. Most TOMs need none of it.""",
    ),
}
"""Model -> heading and introduction, in the order of the page."""

HEAD = """\
# Configuration

<!-- Written by docs/generate_configuration.py from the models in bridge/settings/. Do not edit. -->

`tom-bridge` reads the file given with `--config` (or in `TOM_BRIDGE_CONFIG`), else `bridge.toml`, else `config/bridge.toml`.
With `--django-settings MODULE` it reads a Django settings module instead: its `DATA_SHARING` and, for consumers, its
dictionary `BRIDGE_CONSUMERS`, with the same keys. Start it in the TOM's folder, with the TOM's own
python, so that the module is found:

    tom-bridge check --django-settings my_tom.settings

A TOM with the Django app `bridge.emitter` reads `DATA_SHARING` and `TOM_BRIDGE` in its own `settings.py`,
and never a TOML file.

- In a TOML file, `${NAME}` in a value is replaced by the environment variable of that name. A missing one is an error, but
  only where that entry is used: a host that runs one consumer needs only that one's secrets.
- Unknown keys are errors. The message names the file, the section, the key and the nearest known key.
- Secrets are masked wherever settings are shown.
- `tom-bridge check` checks all entries and consumers, and then the brokers, topics and TOMs they name.

[config/bridge.toml](../config/bridge.toml) is an example.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for model, (heading, introduction) in SECTIONS.items():
        parts.append(f"\n## {heading}\n\n{introduction}\n\n" + "\n".join(_table(model)) + "\n")
    return "".join(parts)


def _table(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, about in schema["properties"].items():
        default = "required" if key in required else _default(model, key)
        meaning = re.sub(r"``(.*?)``", r"`\1`", about.get("description", "")).replace("\n", " ")
        cells = (f"`{key}`", _type(about), default, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(model: type[BaseModel], key: str) -> str:
    value = model.model_fields[key].get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, str | bool | int | float | list):
        return f"`{json.dumps(value)}`"
    return '`""`'  # a secret


def _type(about: Mapping[str, Any]) -> str:
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"] if one.get("type") != "null")
    if "enum" in about:
        return "one of " + ", ".join(f"`{choice}`" for choice in about["enum"])
    if about["type"] == "array":
        return f"list of {_type(about['items'])}".replace("list of one of", "list of")
    if about.get("format") == "password":
        return "secret string"
    bounds = [
        f"{sign} {about[bound]:g}"
        for bound, sign in (("minimum", "at least"), ("exclusiveMinimum", "more than"))
        if bound in about
    ]
    return ", ".join((str(about["type"]), *bounds))


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
