from __future__ import annotations

import asyncio
import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cli.lines import LineReader, LineSplitter, LineWriter
from conduit.errors import InvalidRequest


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda line: not set(line) & {10, 13})),
    cuts=st.lists(st.integers(0, 400)),
    ended=st.booleans(),
)
def test_lines_do_not_depend_on_how_they_are_cut(
    lines: list[bytes], cuts: list[int], ended: bool
) -> None:
    text = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    splitter, found = LineSplitter(), []
    edges = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    for begin, end in itertools.pairwise(edges):
        found += splitter.feed(text[begin:end])
    found += splitter.end()
    expected = lines if ended or not lines or lines[-1] else lines[:-1]
    assert found == expected


def test_the_line_end_of_windows_is_a_line_end() -> None:
    assert LineSplitter().feed(b"a\r\nb\n") == [b"a", b"b"]


def test_a_line_has_a_limit() -> None:
    splitter = LineSplitter(max_bytes=10)
    splitter.feed(b"0123456789")
    with pytest.raises(InvalidRequest):
        splitter.feed(b"0")


async def test_lines_are_given_as_they_come_and_the_end_is_told() -> None:
    reading, writing = os.pipe()
    reader = LineReader(reading)
    os.write(writing, b"1\n2")
    assert await reader.group() == [b"1"]
    os.write(writing, b"\n3")
    assert await reader.group() == [b"2"]
    os.close(writing)
    assert await reader.group() == [b"3"]
    assert await reader.group() is None
    assert await reader.group() is None
    os.close(reading)


async def test_a_reader_that_does_not_read_holds_up_the_writer_and_not_the_loop() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    lines = ["x" * 1000, "y" * 200_000, "z"]

    async def write_all() -> None:
        for line in lines:
            await writer.write(line)
        os.close(writing)

    turns = 0
    task = asyncio.ensure_future(write_all())  # noqa: TID251 - awaited below
    async with asyncio.timeout(10):
        while turns < 100:
            await asyncio.sleep(0)
            turns += 1
        assert not task.done()
        reader, found = LineReader(reading), []
        while (group := await reader.group()) is not None:
            found += group
        await task
    assert [line.decode() for line in found] == lines
    os.close(reading)


async def test_a_line_for_nobody_is_a_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for line in ("short", "x" * 200_000):
        with pytest.raises(BrokenPipeError):
            await LineWriter(writing).write(line)
    os.close(writing)
