"""Where `conduit pub` takes its messages from: the command line, files, standard input."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator

import msgspec

from conduit.cli.lines import CHUNK_BYTES, LINE_MAX_BYTES, LineReader
from conduit.cli.options import STDIN_NAME, PubOptions
from conduit.client import message
from conduit.errors import InvalidRequest
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import PublishRequest

STDIN = 0
# Repeated data comes in groups of so many, so that memory is bounded.
GROUP_COUNT = 1000


class _Line(msgspec.Struct):
    """A line of `--messages`. What `sub` prints besides is ignored."""

    topic: str
    payload: msgspec.Raw
    key: str | None = None
    headers: dict[str, str] | None = None


_line = msgspec.json.Decoder(_Line).decode


class Source:
    """The messages of one run."""

    def __init__(self, options: PubOptions) -> None:
        self._options = options
        self.replaced_count = 0
        """Texts that were not UTF-8 throughout, and have U+FFFD where they were not."""

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
        of = "" if name == STDIN_NAME else f" of {name!r}"
        number = 0
        async for lines in _lines(name, may_be_one=not self._options.text):
            group: list[PublishRequest] = []
            for line in lines:
                number += 1
                if not line.strip() and not self._options.text:
                    continue
                try:
                    group.append(self._from_line(line, f"line {number:,}{of}"))
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
            given = _line(line)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"{where} is not a message: {error}") from error
        return message(given.topic, given.payload, key=given.key, headers=given.headers)

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
    """Groups of lines, as they come. With `may_be_one` a file may be one JSON value on several lines, which
    then is the only one."""
    try:
        fd = STDIN if name == STDIN_NAME else os.open(name, os.O_RDONLY)
        if may_be_one and (whole := _one_value(fd, name)) is not None:
            yield [whole]
        else:
            reader = LineReader(fd)
            while (lines := await reader.group()) is not None:
                yield lines
        if fd != STDIN:
            os.close(fd)
    except OSError as error:
        what = "standard input" if name == STDIN_NAME else repr(name)
        raise InvalidRequest(f"cannot read {what}: {error.strerror}", code="cannot_read") from error


def _one_value(fd: int, name: str) -> bytes | None:
    """All of a file, if it is one JSON value and its first line is not: somebody laid it out for people.
    None if its lines are to be taken one by one. Raises InvalidRequest for what is neither."""
    status = os.fstat(fd)
    if name == STDIN_NAME or not stat.S_ISREG(status.st_mode) or status.st_size > LINE_MAX_BYTES:
        return None
    first, newline, _ = os.pread(fd, CHUNK_BYTES, 0).lstrip().partition(b"\n")
    if not newline:
        # One line, or one that is longer than any that was laid out.
        return None
    try:
        _check_json(first, "line 1")
    except InvalidRequest as line_1:
        if line_1.code != "not_json":
            return None
        whole = os.pread(fd, LINE_MAX_BYTES, 0)
        _check_json(whole, f"{name!r}, of which line 1 is not JSON by itself,")
        return whole
    return None


def _check_json(text: bytes, where: str) -> None:
    try:
        text.decode()
        msgspec.json.decode(text, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InvalidRequest(f"{where} is not JSON: {error}", code="not_json") from error
    except RecursionError as error:
        raise InvalidRequest(f"{where} is nested too deeply", code="json_too_deep") from error


def _message(payload: msgspec.Raw, options: PubOptions) -> PublishRequest:
    assert options.topic is not None
    return message(
        options.topic,
        payload,
        key=options.key,
        headers=dict(options.headers) or None,
        idempotency_key=options.idempotency_key,
    )
