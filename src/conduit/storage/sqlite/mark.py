"""The mark file: how a database notices that it is a copy.

Beside `conduit.db` stands `conduit.db.mark`, which no backup has: it names the database, and the last
message of the last commit. A database that has less than its mark says, or whose mark is missing or another
one's, was put there from elsewhere: what was stored since the copy was taken is gone, and its numbers
will be given again.

The mark is written after each commit, to memory that the system writes to the file in its own time: a call
for it would make the writer wait for the GIL once more. So a crash of the machine may leave an older
mark, which says less. A database and a mark that were copied together, or a disk that was set back, cannot
be noticed.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import apsw

from conduit.storage.sqlite.bulk import rows
from conduit.storage.sqlite.ownership import private

_MAGIC = b"Conduit1"
# What it is, whose it is, the last message; and their checksum.
_CONTENT = struct.Struct("<8s16sQQ")
_CHECKSUM = struct.Struct("<I")

_MAX_TOPIC_ID = "SELECT seq FROM sqlite_sequence WHERE name = 'topics'"
_LAST_SEQ = "SELECT last_seq FROM topics WHERE topic_id = ?"


class Marked(NamedTuple):
    """What a mark says."""

    store_id: bytes
    topic_id: int
    seq: int
    """Of the last message of the last commit; 0, 0 before the first."""


class Mark:
    """A mark that is kept up to date. Blocks."""

    def __init__(self, path: Path, store_id: bytes) -> None:
        """Go on with the file, which is whole and of this database."""
        self._store_id = store_id
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def note(self, topic_id: int, seq: int) -> None:
        """This was the last message of a commit."""
        self._map[:] = _packed(Marked(self._store_id, topic_id, seq))

    def close(self) -> None:
        """Give up the file. Idempotent."""
        if not self._map.closed:
            self._map.flush()
            self._map.close()


def path_of(database: Path) -> Path:
    """Where the mark of a database is."""
    return database.with_name(f"{database.name}.mark")


def move(old: Path, new: Path) -> None:
    """The mark of a database that was opened by a link once stood beside the link: put it beside the
    database. Raises OSError."""
    if old.exists() and not new.exists():
        _write(_next_to(new), old.read_bytes())
        _next_to(new).replace(new)
        _sync_names(new)
        old.unlink()


def prepare(path: Path, store_id: bytes) -> None:
    """Before the database gets this id: have a new mark beside the old one, on the disk. Raises OSError."""
    _write(_next_to(path), _packed(Marked(store_id, 0, 0)))
    _sync_names(path)


def find(path: Path, store_id: bytes) -> Marked | None:
    """What the mark of a database with this id says. If the process ended when the database had got the id,
    and the new mark was not in its place, it is put there. Raises OSError."""
    marked, prepared = read(path), read(_next_to(path))
    is_its = marked is not None and marked.store_id == store_id
    if is_its or prepared is None or prepared.store_id != store_id:
        return marked
    _next_to(path).replace(path)
    _sync_names(path)
    return prepared


def read(path: Path) -> Marked | None:
    """What the file says; None if there is none, or it is not whole. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    content, checksum = data[: _CONTENT.size], data[_CONTENT.size :]
    if len(data) != _CONTENT.size + _CHECKSUM.size or checksum != _CHECKSUM.pack(crc32(content)):
        return None
    magic, *values = _CONTENT.unpack(content)
    return Marked(*values) if magic == _MAGIC else None


def why_copied(connection: apsw.Connection, store_id: bytes, marked: Marked | None) -> str | None:
    """Why the database of this id is a copy, or None."""
    if marked is None:
        return "its mark file is missing"
    if marked.store_id != store_id:
        return "its mark file belongs to another database"
    if not marked.topic_id:
        return None
    highest = rows(connection, _MAX_TOPIC_ID)
    last = rows(connection, _LAST_SEQ, (marked.topic_id,))
    # A topic that was deleted since says nothing. It cannot have been deleted before: it got a message.
    if not highest or highest[0][0] < marked.topic_id or (last and last[0][0] < marked.seq):
        return "its mark file knows of a message that is not in it"
    return None


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb", opener=private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_names(path: Path) -> None:
    """A file that is on the disk is not found after a power failure if its name is not there."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _next_to(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _packed(marked: Marked) -> bytes:
    content = _CONTENT.pack(_MAGIC, *marked)
    return content + _CHECKSUM.pack(crc32(content))
