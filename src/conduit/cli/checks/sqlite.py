"""The SQLite file: read without a lock that others would meet, and without any file that SQLite would make.

Of a database that a server has open, SQLite's own files are there already, and it is opened to read. Of one
that nobody uses the file alone is read, as one that does not change: else SQLite would make a `-shm`.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from conduit.cli.checks.finding import Finding, failure, in_thread, ok, unseen, warning
from conduit.cli.output import size_text

# The documentation's alert, and what a checkpoint and a batch still fit into.
DISK_LOW_BYTES = 1_000_000_000
DISK_FULL_BYTES = 100_000_000
# File systems that do not give several processes one memory, which WAL needs, or whose locks are no locks.
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph"})
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
OTHERS = 0o077
MOUNTS = Path("/proc/self/mountinfo")
CHECK = "database file"


class Place(NamedTuple):
    """What is known of a file without a look into it."""

    path: Path
    exists: bool
    has_folder: bool
    may_read: bool
    may_write: bool
    may_make: bool
    """Whether files can be made beside it."""
    mode: int
    owner: int
    own: int
    """The user that looks."""


def look(path: Path) -> Place:
    """Raises OSError."""
    folder = path.parent
    exists = path.exists()
    found = path.stat() if exists else None
    return Place(
        path,
        exists,
        folder.is_dir(),
        os.access(path, os.R_OK),
        os.access(path, os.W_OK),
        os.access(folder, os.W_OK | os.X_OK),
        stat.S_IMODE(found.st_mode) if found else 0,
        found.st_uid if found else os.geteuid(),
        os.geteuid(),
    )


def judge_place(at: Place) -> list[Finding]:
    """Whether a server of this user could use it."""
    folder = at.path.parent
    if not at.has_folder:
        return [
            failure(
                CHECK,
                f"there is no directory {folder}",
                "create it, mount the volume that should be there, or correct DATABASE_URL",
            )
        ]
    found = []
    if not at.may_make:
        found.append(
            failure(
                CHECK,
                f"{folder} cannot be written by this user, and SQLite needs its -wal there",
                f"chown or chmod the directory for the server's user, or remount it read-write: {folder}",
            )
        )
    if not at.exists:
        return [*found, ok(CHECK, f"{at.path} does not exist yet; the server makes it")]
    if not at.may_write:
        found.append(
            failure(
                CHECK,
                f"{at.path} cannot be {'written' if at.may_read else 'read'} by this user",
                "give it to the server's user (chown), or run `conduit doctor` as that user",
            )
        )
    if at.mode & OTHERS:
        found.append(
            warning(
                CHECK,
                f"{at.path} has mode {at.mode:04o}: others than its owner can read all messages",
                f"chmod 600 {at.path}",
            )
        )
    if at.owner != at.own and at.own == 0:
        found.append(
            warning(
                CHECK,
                f"{at.path} belongs to user {at.owner}, and this is root, who may do what that user may not",
                "run `conduit doctor` as the server's user, which sees what the server sees",
            )
        )
    return found or [ok(CHECK, f"{at.path} can be read and written, by its owner only")]


async def place(path: Path) -> list[Finding]:
    """Files, directory and rights."""
    return await in_thread(lambda: judge_place(look(path.resolve())))


async def content(path: Path) -> list[Finding]:
    """Whether it is a database of Conduit that this version can use."""
    return await in_thread(lambda: _content(path.resolve()))


def _content(path: Path) -> list[Finding]:
    import apsw

    from conduit.storage.sqlite.errors import translated
    from conduit.storage.sqlite.ownership import is_used

    name = "database"
    if not (path.exists() and os.access(path, os.R_OK)):
        return [] if not path.exists() else [unseen(name, f"{path} cannot be read by this user")]
    if not path.stat().st_size:
        return [ok(name, f"{path} is empty; the server makes a database of it")]
    is_open = is_used(path)
    wal = path.with_name(f"{path.name}-wal")
    has_wal = wal.exists() and wal.stat().st_size > 0
    # What is in a -wal that nobody uses would be applied by whoever opens it: that is the server's to do.
    options = "mode=ro" if is_open else "mode=ro&immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(f"file:{quote(str(path))}?{options}", flags=flags)
        try:
            found = _judge(connection, path, is_stale=has_wal and not is_open)
        finally:
            connection.close()
    except apsw.Error as error:
        told = translated(error)
        return [failure(name, f"{path}: {told}", "docs/backup.md says how to restore a backup")]
    if is_open:
        found.append(ok("server", f"a Conduit server is using {path}"))
    elif has_wal:
        found.append(
            warning(
                name,
                f"{wal.name} is there, and no server: the last one was killed, or the machine lost power",
                "nothing is lost: leave the file there, the next start applies it. If it comes up again and "
                "again, look in the log, and in `dmesg` for the out-of-memory killer, for why",
            )
        )
    return found


def _judge(connection: object, path: Path, *, is_stale: bool) -> list[Finding]:
    import apsw

    from conduit.storage.sqlite import facts, mark
    from conduit.storage.sqlite.bulk import rows
    from conduit.storage.sqlite.database import known_migrations
    from conduit.storage.sqlite.ours import APPLICATION_ID

    assert isinstance(connection, apsw.Connection)
    name = "database"
    if connection.pragma("application_id") != APPLICATION_ID:
        if is_stale:
            return [unseen(name, "all of it is in the -wal of a server that was killed")]
        return [failure(name, f"{path} is not a database of Conduit", "correct DATABASE_URL")]
    ((version,),) = rows(connection, "SELECT value FROM meta WHERE name = 'schema_version'")
    newest = max(known_migrations())
    found = [judge_version(int(version), newest)]
    found.append(
        ok("durability", "commits wait for the disk: the server sets WAL and synchronous=FULL")
        if _is_wal(path)
        else warning("durability", "the file is not in WAL mode", "start the server, which sets it")
    )
    store_id = facts.get(connection, facts.COPY)
    if is_stale or store_id is None:
        return found
    why = mark.why_copied(connection, store_id, mark.read(mark.path_of(path)))
    if why is not None:
        found.append(
            warning(
                name,
                f"the next start takes it for a restored copy, and gives all topics new epochs: {why}",
                "if it was moved and lacks nothing, run `conduit store trust` first, as docs/backup.md says",
            )
        )
    return found


def _is_wal(path: Path) -> bool:
    """By its header: of a file that does not change, SQLite says that it has no journal."""
    with path.open("rb") as file:
        head = file.read(20)
    # https://sqlite.org/fileformat.html, 1.3.3
    return head[18:20] == b"\x02\x02"


def judge_version(version: int, newest: int) -> Finding:
    """Whether this Conduit can use a schema of this version; it knows those up to `newest`."""
    if version > newest:
        return failure(
            "database",
            f"it has schema version {version}, and this Conduit knows {newest}",
            "run the newer Conduit that wrote it",
        )
    if version < newest:
        return ok("database", f"schema version {version}; the next start brings it to {newest}")
    return ok("database", f"schema version {version}, which is this Conduit's")


async def disk(path: Path) -> list[Finding]:
    """Room where the file is, and what kind of file system that is."""

    def work() -> list[Finding]:
        folder = path.resolve().parent
        if not folder.is_dir():
            return []
        room = shutil.disk_usage(folder)
        return [judge_room(folder, room.free, room.total), *judge_system(folder, system_of(folder))]

    return await in_thread(work)


def judge_room(folder: Path, free_bytes: int, total_bytes: int) -> Finding:
    """Whether more can be stored."""
    seen = f"{size_text(free_bytes)} of {size_text(total_bytes)} free at {folder}"
    do = "free some, enlarge the disk, or lower CONDUIT_RETENTION_MAX_AGE_S or CONDUIT_RETENTION_MAX_BYTES"
    if free_bytes < DISK_FULL_BYTES:
        return failure("disk", seen + ": publishes are refused when it is full", do)
    return warning("disk", seen, do) if free_bytes < DISK_LOW_BYTES else ok("disk", seen)


def judge_system(folder: Path, kind: str | None) -> list[Finding]:
    """Whether a database belongs on it."""
    if kind in REMOTE:
        return [
            failure(
                "disk",
                f"{folder} is on {kind}, a file system of the network: SQLite's locks and its WAL do not "
                "work there",
                "put the file on a disk of this machine, or use PostgreSQL",
            )
        ]
    if kind in IN_MEMORY:
        return [
            warning(
                "disk",
                f"{folder} is on {kind}, which is memory: all messages are gone when the machine restarts",
                "put the file on a disk",
            )
        ]
    return []


def system_of(folder: Path, read: Callable[[], str] = MOUNTS.read_text) -> str | None:
    """The kind of file system that a folder is on; None where the system does not say."""
    try:
        lines = read().splitlines()
    except OSError:
        return None
    found: tuple[int, str | None] = (-1, None)
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), after.split()[0])
    return found[1]
