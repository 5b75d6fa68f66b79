"""Where tests keep their files: in memory, if the machine has a file system for that.

Databases that wait for a disk make the tests slow, and their times the disk's. What is killed and must
have kept its promise is tested on the disk (`DISK`): there a commit takes long enough to be killed in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Of the machine, or as TMPDIR says.
DISK = tempfile.gettempdir()
IN_MEMORY = ("/dev/shm", "/run")
# All tests together take a quarter of it; containers often have 64 MiB.
FREE_BYTES_MIN = 2 << 30
MOUNTS = Path("/proc/mounts")


def folder() -> str:
    """A folder in memory with enough room; DISK if there is none, or TMPDIR says where files go."""
    if "TMPDIR" in os.environ:  # noqa: TID251 - whoever runs the tests decides
        return DISK
    return next(filter(_is_good, IN_MEMORY), DISK)


def _is_good(path: str) -> bool:
    mounts = MOUNTS.read_text() if MOUNTS.exists() else ""
    mounted = {tuple(line.split()[1:3]) for line in mounts.splitlines()}
    return (
        (path, "tmpfs") in mounted
        and os.access(path, os.W_OK | os.X_OK)
        and shutil.disk_usage(path).free >= FREE_BYTES_MIN
    )
