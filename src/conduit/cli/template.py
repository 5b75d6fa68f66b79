"""`conduit sub --format`: a line with the fields of a message in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from conduit.cli.output import json_text, printable, spelled_pairs

if TYPE_CHECKING:
    from conduit.protocol.frames import MessageFrame

# A field, a brace that is meant as one, or a control character by its name.
_PART = re.compile(r"\{(\w+)\}|(\{\{|\}\})|\\([ntr\\])|([{}])")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def _text(message: MessageFrame) -> str:
    """A payload that is a JSON string as the text that it is; any other as its JSON."""
    import msgspec

    try:
        return msgspec.json.decode(message.payload, type=str)
    except (msgspec.DecodeError, RecursionError):
        return json_text(message.payload)


FIELDS: dict[str, Callable[[MessageFrame], object]] = {
    "topic": lambda message: message.topic,
    "seq": lambda message: message.seq,
    "payload": lambda message: json_text(message.payload),
    "text": _text,
    "key": lambda message: message.key,
    "headers": lambda message: spelled_pairs(message.headers),
    "message_id": lambda message: message.message_id,
    "published_at": lambda message: message.published_at,
    "attempt": lambda message: message.attempt,
    "failures": lambda message: message.failures,
    "epoch": lambda message: message.epoch,
    "subscription": lambda message: message.subscription,
}


class Template:
    """`{seq} {payload}`: a name in braces is a field, `{{` and `}}` are braces, `\\n` and `\\t` what they are
    elsewhere. Raises ValueError for a name that is no field."""

    def __init__(self, text: str) -> None:
        self._parts: list[str | Callable[[MessageFrame], object]] = []
        begin = 0
        for found in _PART.finditer(text):
            name, brace, control, lone = found.groups()
            if lone or (name and name not in FIELDS):
                raise ValueError(_fault(text[found.start() :]))
            self._parts.append(text[begin : found.start()])
            if name:
                self._parts.append(FIELDS[name])
            else:
                self._parts.append(brace[0] if brace else _CONTROLS[control])
            begin = found.end()
        self._parts.append(text[begin:])

    def of(self, message: MessageFrame) -> str:
        """The line; what is not there is empty, and what could steer a terminal is spelled out."""
        return "".join(
            part if isinstance(part, str) else _shown(part(message)) for part in self._parts
        )


def _fault(text: str) -> str:
    """What is wrong with a brace that the text begins with."""
    fields = ", ".join(f"{{{field}}}" for field in FIELDS)
    if text.startswith("}"):
        return f"'}}' ends no field, and one that is meant is written '}}}}'; fields are {fields}"
    inside, end, _ = text.partition("}")
    if not end:
        return f"{inside!r} lacks its '}}', and a brace that is meant is written '{{{{'; fields are {fields}"
    return f"{inside + end!r} is none of {fields}"


def _shown(value: object) -> str:
    return "" if value is None else printable(str(value))
