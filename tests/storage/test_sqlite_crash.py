"""What a killed process acked is there."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit.core.message import Message
from conduit.storage.sqlite import SqliteStore
from tests.support.scratch import DISK

KILL_COUNT = 5


def acked_until_killed(path: Path, line_count: int) -> dict[tuple[int, int], str]:
    """Run an appender, kill it after so many lines, and return (topic_id, seq) → message_id."""
    command = [sys.executable, str(Path(__file__).with_name("appender.py")), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(line_count)]
        process.kill()
        lines += process.stdout.readlines()
    acked = {}
    for line in lines:
        # The kill may cut the last line.
        if line.endswith("\n"):
            topic_id, seq, message_id = line.split()
            acked[int(topic_id), int(seq)] = message_id
    return acked


async def logs_of(path: Path) -> dict[int, list[Message]]:
    store = SqliteStore(path)
    await store.open()
    topics = await store.topics()
    logs = {}
    for record in topics:
        log = await store.read(record.topic_id, 1, limit=1_000_000, max_bytes=1 << 40)
        size = sum(len(message.payload) for message in log)
        assert (record.last_seq, record.stored_bytes) == (len(log), size)
        logs[record.topic_id] = log
    await store.close()
    return logs


@pytest.fixture
def on_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        yield Path(folder)


@pytest.mark.process
def test_kill_9_loses_no_acked_message_and_leaves_no_hole(on_disk):
    path = on_disk / "log.db"
    acked: dict[tuple[int, int], str] = {}
    for number in range(KILL_COUNT):
        acked |= acked_until_killed(path, 50 + 400 * number)
        logs = asyncio.run(logs_of(path))
        for topic_id, log in logs.items():
            assert [m.seq for m in log] == list(range(1, len(log) + 1)), topic_id
        stored = {(id_, m.seq): m.message_id for id_, log in logs.items() for m in log}
        assert acked.items() <= stored.items()
    assert len(acked) > 50
