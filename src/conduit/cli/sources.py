"""Where `conduit pub` takes its messages from: the command line, a file, standard input."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import msgspec

from conduit.cli.lines import LineReader
from conduit.cli.options import PubOptions
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


async def messages(options: PubOptions) -> AsyncIterator[list[PublishRequest]]:
    """Groups of messages, in order, each as soon as it is there.

    Raises InvalidRequest: `not_json` and `invalid_request` name the line; `cannot_read`.
    """
    if options.data is not None and not options.is_stdin:
        payload = _payload(os.fsencode(options.data), options, "DATA")
        left = options.count or 1
        while left > 0:
            yield [_message(payload, options) for _ in range(min(left, GROUP_COUNT))]
            left -= GROUP_COUNT
        return
    number = 0
    async for lines in _lines(options):
        group: list[PublishRequest] = []
        for line in lines:
            number += 1
            if not line.strip() and not options.text:
                continue
            try:
                group.append(_from_line(line, options, f"line {number:,}"))
            except InvalidRequest:
                # What stands before the bad line is published, however the lines came.
                yield group
                raise
        if group:
            yield group


async def _lines(options: PubOptions) -> AsyncIterator[list[bytes]]:
    """Groups of lines, as they come."""
    try:
        fd = STDIN if options.is_stdin else os.open(options.file or "", os.O_RDONLY)
        reader = LineReader(fd)
        while (lines := await reader.group()) is not None:
            yield lines
    except OSError as error:
        what = "standard input" if options.is_stdin else repr(options.file)
        raise InvalidRequest(f"cannot read {what}: {error.strerror}", code="cannot_read") from error


def _from_line(line: bytes, options: PubOptions, where: str) -> PublishRequest:
    if not options.messages:
        return _message(_payload(line, options, where), options)
    _check_json(line, where)
    try:
        given = _line(line)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{where} is not a message: {error}") from error
    return message(given.topic, given.payload, key=given.key, headers=given.headers)


def _payload(text: bytes, options: PubOptions, where: str) -> msgspec.Raw:
    if not options.text:
        _check_json(text, where)
        return msgspec.Raw(text)
    try:
        return msgspec.Raw(encode_json(text.decode()))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{where} is not UTF-8: {error}") from error


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
