"""Open files, of which each connection is one."""

from __future__ import annotations

import resource

from conduit.errors import ConduitError

# Beside the connections: Python's own, pipes, the epoll.
SPARE_COUNT = 64


def allow_files(connections: int) -> None:
    """Let this process have so many connections. Raises ConduitError `limit_reached` if it may not."""
    need = connections + SPARE_COUNT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise ConduitError(
            f"{connections:,} connections need {need:,} open files, and this system gives a process "
            f"{hard:,}: raise it (ulimit -Hn), or take fewer",
            code="limit_reached",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
