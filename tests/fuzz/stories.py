"""What a client of the fuzzer does with one connection: bytes, right and wrong ones, made of a seed.

A story begins with an upgrade, which may be cut short or mutated, and goes on with frames: of the protocol,
mutated ones, broken WebSocket frames, and noise. All of it is bytes; how they are sent is for the runner.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Any

from tests.support.access import ALPHABET, Names, spelled

# Of one message: more than the server takes, which is 320 KiB by default.
LARGE_BYTES = 400_000
FRAMES_MAX_COUNT = 24
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80
_IDS = {"message_id": "{message}", "subscription": "{subscription}", "ref": "r"}
_FRAMES: tuple[dict[str, Any], ...] = (
    {"type": "heartbeat"},
    {"type": "publish", "topic": "{topic}", "payload": {"n": 1}, "ref": "r"},
    {"type": "publish", "topic": "{topic}", "payload": "x", "idempotency_key": "k", "headers": {}},
    {"type": "subscribe", "topic": "{topic}", "create": False, "ref": "r"},
    {"type": "subscribe", "topic": "{topic}", "subscription": "{subscription}", "create": False},
    {"type": "subscribe", "topic": ">", "start": {"seq": 1}, "ack": "auto"},
    {
        "type": "subscribe",
        "topic": "*.*",
        "start": {
            "positions": {"{topic}": {"seq": 2, "epoch": "{epoch}"}},
            "time": "2026-01-01T00:00:00Z",
        },
    },
    {"type": "unsubscribe", "topic": "{topic}", "subscription": "{subscription}", "ref": "r"},
    {"type": "ack", "message_ids": ["{message}", "x"], "ref": "r"},
    {"type": "ack", "topic": "{topic}", "seq": 1 << 52, "ref": "r"},
    {"type": "ack", **_IDS},
    {"type": "nack", "delay_ms": 1, "reason": "no", **_IDS},
    {"type": "reject", "reason": "no", "attempt": 1, **_IDS},
    {"type": "extend", "ms": 10, **_IDS},
)
_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 63,
    10**400,
    1e308,
    "",
    "x" * 3_000,
    "\0",
    "\ud800",
    "ü" * 200,
    [],
    {},
    [[[[]]]],
    {"seq": 0},
    ">",
    "a.*.>",
)


class End(Enum):
    """How the client leaves."""

    CLOSE = auto()
    ABORT = auto()
    """At once, with a reset."""
    HALF = auto()
    """It sends no more, and reads to the end."""
    READ = auto()
    """It reads for a while, and closes."""


@dataclass(frozen=True)
class Story:
    """One connection: pieces to send one after the other, and its end."""

    pieces: list[bytes]
    end: End


class Storyteller:
    """Makes stories; the same seed makes the same ones."""

    def __init__(self, seed: int, keys: list[str], victim: Names, own: Names) -> None:
        self.random = Random(seed)
        self._keys = keys
        self._names = (victim, own, own)
        # Whether the WebSocket itself is not broken.
        self._is_orderly = False

    def story(self) -> Story:
        """The next one."""
        chosen = self.random.random()
        upgrade = self._upgrade()
        if chosen < 0.1:
            data = upgrade[: self.random.randrange(len(upgrade))]
        elif chosen < 0.2:
            data = self._flipped(upgrade) + self._frames()
        elif chosen < 0.3:
            data = upgrade + self.random.randbytes(self.random.randrange(1, 2_000))
        else:
            data = upgrade + self._frames()
            if self.random.random() < 0.2:
                data = data[: -self.random.randrange(1, 40)]
        (end,) = self.random.choices(list(End), [1, 1, 2, 6])
        return Story(self._pieces(data, len(upgrade)), end)

    # Credentials ----------------------------------------------------------------------------------

    def _token(self) -> str:
        key = self.random.choice(self._keys)
        if self.random.random() < 0.75:
            return key
        makers: list[Callable[[], str]] = [
            lambda: key[:-1],
            lambda: spelled(self._text(8), self._text(32)),
            lambda: spelled(key.split("_")[2], self._text(32)),
            lambda: "",
            lambda: "ey" + self._text(self.random.randrange(200)),
            self._jwt,
            lambda: self._text(self.random.choice([16, 8_000, 9_500])),
            lambda: "ü\u2028\U0001f511",
        ]
        return self.random.choice(makers)()

    def _text(self, length: int) -> str:
        return "".join(self.random.choices(ALPHABET, k=length))

    def _jwt(self) -> str:
        algorithm = self.random.choice(["none", "HS256", "EdDSA", "RS256", ["x"], None])
        head = {"alg": algorithm, "kid": "../x", "jwk": {}, "typ": "JWT"}
        claims = {"tenant": "acme", "exp": self.random.choice([0, 1 << 40, "x", -1e300])}
        parts = [json.dumps(head).encode(), json.dumps(claims).encode(), self.random.randbytes(64)]
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)

    # The upgrade ----------------------------------------------------------------------------------

    def _upgrade(self) -> bytes:
        target = self.random.choice(
            ["/ws"] * 6 + ["/ws?ticket=x", f"/ws?ticket={self._text(40)}", "/ws?x", "/ws/"]
        )
        lines = [
            "Host: x",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(self.random.randbytes(16)).decode()}",
        ]
        for _ in range(self.random.choices([0, 1, 2], [10, 9, 1])[0]):
            token = self._token().encode().decode("latin-1")
            name = self.random.choice(["Authorization: Bearer ", "X-API-Key: ", "authorization: "])
            lines.insert(self.random.randrange(len(lines)), f"{name}{token}")
        if self.random.random() < 0.1:
            lines.pop(self.random.randrange(len(lines)))
        if self.random.random() < 0.1:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate")
        text = "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""])
        return text.encode("latin-1", "replace")

    # Frames ---------------------------------------------------------------------------------------

    def _frames(self) -> bytes:
        parts = []
        # Whatever breaks the connection breaks what comes behind it as well.
        self._is_orderly = self.random.random() < 0.6
        if self.random.random() < 0.8:
            parts.append(self._framed(TEXT, self._auth()))
        kinds: list[Callable[[], bytes]] = [
            self._said,
            self._said,
            self._mutated,
            self._mutated,
            self._in_parts,
            self._control,
            self._broken,
            self._noise,
            self._large,
        ]
        orderly, other = [8, 8, 4, 4, 4, 1, 0, 0, 0], [8, 8, 8, 8, 4, 4, 2, 1, 1]
        weights = orderly if self._is_orderly else other
        count = self.random.randrange(FRAMES_MAX_COUNT)
        parts += [make() for make in self.random.choices(kinds, weights, k=count)]
        return b"".join(parts)

    def _auth(self) -> bytes:
        return json.dumps({"type": "auth", "token": self._token()}).encode()

    def _frame(self) -> dict[str, Any]:
        frame = self.random.choice(_FRAMES)
        filled: dict[str, Any] = self.random.choice(self._names).put(frame)
        return filled

    def _said(self) -> bytes:
        return self._framed(TEXT, json.dumps(self._frame()).encode())

    def _mutated(self) -> bytes:
        frame = self._frame() if self.random.random() < 0.8 else {"type": "auth", "token": ""}
        for _ in range(self.random.randrange(1, 3)):
            name = self.random.choice([*frame, "unknown", "type"])
            if self.random.random() < 0.2:
                frame.pop(name, None)
            else:
                frame[name] = self.random.choice(_ODD)
        text = json.dumps(frame).encode()
        chosen = self.random.random()
        if chosen < 0.2 and not self._is_orderly:
            text = self._flipped(text)
        elif chosen < 0.3:
            text = text[: self.random.randrange(len(text))]
        elif chosen < 0.35:
            text = b"[" * self.random.randrange(20_000)
        is_binary = not self._is_orderly and self.random.random() < 0.2
        return self._framed(BINARY if is_binary else TEXT, text)

    def _in_parts(self) -> bytes:
        """One message in several frames, perhaps with control frames between, perhaps without an end."""
        text = json.dumps(self._frame()).encode()
        cuts = sorted(self.random.randrange(len(text)) for _ in range(self.random.randrange(1, 6)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        if self.random.random() < 0.2:
            parts += [b""] * self.random.randrange(200)
        sent = []
        for number, part in enumerate(parts):
            is_whole = self._is_orderly or self.random.random() < 0.9
            is_last = number == len(parts) - 1 and is_whole
            opcode = TEXT if number == 0 else 0
            sent.append(self._framed(opcode, part, fin=is_last))
            if self.random.random() < 0.2:
                sent.append(self._control())
        return b"".join(sent)

    def _control(self) -> bytes:
        data = self.random.randbytes(self.random.choice([0, 1, 2, 20, 125, 126]))
        if self._is_orderly:
            return self._framed(self.random.choice([PING, PONG]), data[:125])
        opcode = self.random.choice([PING, PONG, CLOSE])
        if opcode == CLOSE and self.random.random() < 0.7:
            code = self.random.choice([0, 999, 1000, 1005, 1006, 1015, 3000, 4999, 65_535])
            data = struct.pack("!H", code) + self.random.choice([b"", b"bye", b"\xff\xfe"])
        return self._framed(opcode, data)

    def _broken(self) -> bytes:
        """A head that no client may send, and some of what it says."""
        first = self.random.choice([0x81, 0xC1, 0xB1, 0x83, 0x8B, 0x01, 0x09, 0x88])
        lengths = [
            b"\x85",
            b"\xfe\x00\x05",
            b"\xff" + struct.pack("!Q", 5),
            b"\xff" + struct.pack("!Q", 1 << 62),
            b"\xff" + b"\xff" * 8,
            b"\x05",
            b"\xfe",
            b"\x7f\x00",
        ]
        return bytes([first]) + self.random.choice(lengths) + self.random.randbytes(9)

    def _noise(self) -> bytes:
        return self.random.randbytes(self.random.randrange(1, 300))

    def _large(self) -> bytes:
        size = self.random.choice([9 * 1024, 9 * 1024 + 1, 70_000, LARGE_BYTES])
        frame = {"type": "publish", "topic": self._names[1].topic, "payload": "x" * size}
        return self._framed(TEXT, json.dumps(frame).encode())

    def _framed(self, opcode: int, data: bytes, *, fin: bool = True) -> bytes:
        first = opcode | (FIN if fin else 0)
        if len(data) < 126:
            head = bytes([first, 0x80 | len(data)])
        elif len(data) < 1 << 16:
            head = bytes([first, 0xFE]) + struct.pack("!H", len(data))
        else:
            head = bytes([first, 0xFF]) + struct.pack("!Q", len(data))
        # With a mask of zeros the data goes as it is; sometimes it is none.
        mask = b"\0\0\0\0" if self._is_orderly or self.random.random() < 0.95 else b""
        return head + mask + data

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice([1, 1, 2, 8])):
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    def _pieces(self, data: bytes, first: int) -> list[bytes]:
        """As they are written: all at once, the upgrade alone, or cut anywhere."""
        chosen = self.random.random()
        if chosen < 0.3:
            return [data]
        if chosen < 0.7:
            return [data[:first], data[first:]]
        count = self.random.randrange(1, 6)
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(count))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
