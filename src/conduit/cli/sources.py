"""Where `conduit pub` takes its messages from: the command line, files, standard input."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import AsyncIterator

import msgspec

from conduit.cli.lines import LINE_MAX_BYTES, LineReader
from conduit.cli.options import STDIN_NAME, PubOptions
from conduit.client import message
from conduit.errors import InvalidRequest
from conduit.protocol.codec import decode_strictly, encode_json
from conduit.protocol.frames import PublishRequest

STDIN = 0
# Repeated data comes in groups of so many, so that memory is bounded.
GROUP_COUNT = 1000
# What msgspec says of JSON that ends too early.
_TRUNCATED = "Input data was truncated"


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line of `--messages`: a message to publish, or as `sub` prints it, with what it then has besides."""

    topic: str
    payload: msgspec.Raw
    key: str | None = None
    headers: dict[str, str] | None = None
    idempotency_key: str | None = None
    message_id: object = None
    seq: object = None
    epoch: object = None
    attempt: object = None
    failures: object = None
    published_at: object = None
    subscription: object = None


_line = msgspec.json.Decoder(_Line).decode
_any = msgspec.json.Decoder(msgspec.Raw).decode


class Source:
    """The messages of one run."""

    def __init__(self, options: PubOptions) -> None:
        self._options = options
        self.replaced_count = 0
        """Texts that were not UTF-8 throughout, and have U+FFFD where they were not."""

    @property
    def shown(self) -> str:
        """Where they come from, for people."""
        return ", ".join(map(_shown, self._options.sources)) or "DATA"

    async def messages(self) -> AsyncIterator[list[PublishRequest]]:
        """Groups of messages, in order, each as soon as it is there.

        Raises InvalidRequest: `not_json` and `invalid_request` name the line; `cannot_read`.
        """
        options = self._options
        for name in options.sources:
            async for group in self._of_lines(name):
                yield group
        if options.data is not None and not options.sources:
            payload = self._payload(os.fsencode(options.data), "DATA")
            left = options.count or 1
            while left > 0:
                yield [_message(payload, options) for _ in range(min(left, GROUP_COUNT))]
                left -= GROUP_COUNT

    async def _of_lines(self, name: str) -> AsyncIterator[list[PublishRequest]]:
        number = 0
        async for lines in _lines(name, may_be_one=not self._options.text):
            group: list[PublishRequest] = []
            for line in lines:
                number += 1
                if not line.strip() and not self._options.text:
                    continue
                try:
                    group.append(self._from_line(line, _where(name, number, line)))
                except InvalidRequest:
                    # What stands before the bad line is published, however the lines came.
                    yield group
                    raise
            if group:
                yield group

    def _from_line(self, line: bytes, where: str) -> PublishRequest:
        if not self._options.messages:
            return _message(self._payload(line, where), self._options)
        _check_json(line, where)
        try:
            given = decode_strictly(line, _line)
        except InvalidRequest as error:
            why = error.detail.removeprefix("body: ")
            raise InvalidRequest(f"{where} is not a message: {why}", code=error.code) from error
        return message(
            given.topic,
            given.payload,
            key=given.key,
            headers=given.headers,
            idempotency_key=given.idempotency_key,
        )

    def _payload(self, text: bytes, where: str) -> msgspec.Raw:
        if not self._options.text:
            _check_json(text, where)
            return msgspec.Raw(text)
        try:
            whole = text.decode()
        except UnicodeDecodeError:
            # A log must not end at its first odd byte.
            whole = text.decode(errors="replace")
            self.replaced_count += 1
        return msgspec.Raw(encode_json(whole))


async def _lines(name: str, *, may_be_one: bool) -> AsyncIterator[list[bytes]]:
    """Groups of lines, as they come. With `may_be_one` they may be one JSON value together, laid out for
    people, which then is the only one."""
    try:
        fd = STDIN if name == STDIN_NAME else os.open(name, os.O_RDONLY)
        reader = LineReader(fd)
        is_first = may_be_one
        mark = BOM_UTF8
        while (lines := await reader.group()) is not None:
            lines[0] = lines[0].removeprefix(mark)
            mark = b""
            at = next((at for at, line in enumerate(lines) if line.strip()), None)
            if is_first and at is not None:
                is_first = False
                if _is_begun(lines[at]):
                    lines[at:] = [await _joined(lines[at:], reader)]
            yield lines
        if fd != STDIN:
            os.close(fd)
    except OSError as error:
        raise InvalidRequest(
            f"cannot read {_shown(name)}: {error.strerror}", code="cannot_read"
        ) from error


def _where(name: str, number: int, line: bytes) -> str:
    if b"\n" in line:
        return f"{_shown(name)}, of which line {number:,} is not JSON by itself,"
    return f"line {number:,}" if name == STDIN_NAME else f"line {number:,} of {name!r}"


def _shown(name: str) -> str:
    return "standard input" if name == STDIN_NAME else repr(name)


def _is_begun(line: bytes) -> bool:
    """Whether the line is the beginning of a JSON value that goes on in the next one."""
    try:
        # Inside a string there are no line ends.
        _any(line + b"\n")
    except msgspec.DecodeError as error:
        return str(error) == _TRUNCATED
    except RecursionError:
        # Whoever takes it as a line says so.
        return False
    return False


async def _joined(lines: list[bytes], reader: LineReader) -> bytes:
    """The lines and all that follow them, as one. Raises InvalidRequest if that is too much."""
    size_bytes = sum(map(len, lines))
    while (more := await reader.group()) is not None:
        lines += more
        size_bytes += sum(map(len, more))
        if size_bytes > LINE_MAX_BYTES:
            raise InvalidRequest(f"a value is longer than {LINE_MAX_BYTES:,} bytes")
    return b"\n".join(lines)


def _check_json(text: bytes, where: str) -> None:
    try:
        decode_strictly(text, _any)
    except InvalidRequest as error:
        if error.code == "json_too_deep":
            raise InvalidRequest(f"{where} is nested too deeply", code=error.code) from error
        raise InvalidRequest(f"{where} is not JSON: {error.detail}", code="not_json") from error


def _message(payload: msgspec.Raw, options: PubOptions) -> PublishRequest:
    assert options.topic is not None
    return message(
        options.topic,
        payload,
        key=options.key,
        headers=dict(options.headers) or None,
        idempotency_key=options.idempotency_key,
    )
