"""A process that appends to a SQLite store until it is killed: python appender.py PATH

Prints a line `topic_id seq message_id` for each message, after its append returned.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uuid_utils

from conduit.core.message import NewMessage, Retention
from conduit.storage.sqlite import SqliteStore

NAMES = [f"t{n}" for n in range(5)]


async def append_forever(store: SqliteStore, topic_ids: list[int], size: int) -> None:
    while True:
        batch = [
            NewMessage(topic_ids[n % len(topic_ids)], str(uuid_utils.uuid7()), b"x" * (n + 1))
            for n in range(size)
        ]
        seqs = await store.append(batch)
        lines = [
            f"{new.topic_id} {seq} {new.message_id}\n" for new, seq in zip(batch, seqs, strict=True)
        ]
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    known = {record.name: record.topic_id for record in await store.topics()}
    for name in NAMES:
        if name not in known:
            known[name] = (await store.topic_create("default", name, Retention(), 1)).topic_id
    await asyncio.gather(
        *(append_forever(store, list(known.values()), size) for size in (1, 7, 150))
    )


if __name__ == "__main__":
    asyncio.run(main())
