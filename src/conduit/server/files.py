"""How many files the process may open, and how many of them connections may be.

Where the system allows fewer than the settings want, the bound of connections is lower: a server that has no
file left cannot even accept a connection to say that it is full.
"""

from __future__ import annotations

import logging
import resource
from typing import NamedTuple

from conduit.server.entrance import SPARE_MAX_COUNT

logger = logging.getLogger(__name__)

# What the process has open besides: libraries, the log, the loop's own, a SQLite file by each of its threads.
OWN_COUNT = 64
# Connections to one database of PostgreSQL.
DATABASE_COUNT = 16
# Connections that were accepted and not looked at yet.
NEW_COUNT = 64
# Links with other nodes, and sockets that say they will be one.
LINKS_COUNT = 128


class Files(NamedTuple):
    """How many of each are open at most."""

    connection_count: int
    """Connections, of all kinds."""
    spare_count: int
    """Those beyond that, which wait for a refusal or the answer to a probe."""


def needed(connection_count: int, database_count: int) -> int:
    """Files for so many connections and databases of PostgreSQL."""
    own_count = OWN_COUNT + LINKS_COUNT + DATABASE_COUNT * database_count
    return own_count + connection_count + SPARE_MAX_COUNT + NEW_COUNT


def divide(allowed_count: int, connection_count: int, database_count: int) -> Files:
    """What so many files are for; `connection_count` is what is wanted."""
    if allowed_count >= needed(connection_count, database_count):
        return Files(connection_count, SPARE_MAX_COUNT)
    own_count = min(needed(0, database_count) - SPARE_MAX_COUNT - NEW_COUNT, allowed_count // 2)
    room = allowed_count - own_count
    spare_count = max(1, min(SPARE_MAX_COUNT, room // 4))
    left_count = room - spare_count - min(NEW_COUNT, room // 8)
    return Files(max(1, min(connection_count, left_count)), spare_count)


def allow_files(connection_count: int, database_count: int, *, tells: bool = True) -> Files:
    """Raise the process's limit as far as it is needed and goes; what is below is told in the log, if it
    `tells`."""
    wanted = needed(connection_count, database_count)
    allowed_count = _raise_limit(wanted)
    files = divide(allowed_count, connection_count, database_count)
    if tells and files.connection_count < connection_count:
        logger.warning(
            "the system allows %d open files: the bound is %d connections, and not CONDUIT_MAX_CONNECTIONS"
            " (%d), which needs %d; raise the hard limit (ulimit -Hn, LimitNOFILE of systemd)",
            allowed_count,
            files.connection_count,
            connection_count,
            wanted,
        )
    return files


def _raise_limit(wanted: int) -> int:
    """The limit that is in force then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):
        # The system has a bound below the hard limit.
        return soft
    return raised
