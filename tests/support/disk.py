"""A small disk of its own: a tmpfs in a mount namespace that nobody else sees."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.postgres import OTHER_USER
from tests.support.wait import until

_CHUNK = b"\0" * (1 << 16)
# Holds the namespace until its standard input ends, so also if the tests are killed.
_HOLD = """
mount -t tmpfs -o size={size},mode=0700{owner} conduit-test {mount} && echo mounted && exec {drop} cat
"""


class NoDisk(Exception):
    """This machine does not allow it; the text says what was refused."""


class SmallDisk:
    """`path` is its root. Raises NoDisk.

    As root it belongs to the user that PostgreSQL runs as; anybody else mounts it in a user namespace of
    their own. The namespace is held by a process of that user, and entered through /proc.
    """

    def __init__(self, size_bytes: int) -> None:
        self._mount = tempfile.mkdtemp(prefix="conduit-disk-")
        unshare, owner, drop = ["unshare", "-Ucm", "--keep-caps"], "", ""
        if os.geteuid() == 0:
            user = pwd.getpwnam(OTHER_USER)
            unshare, owner = ["unshare", "-m"], f",uid={user.pw_uid},gid={user.pw_gid}"
            drop = f"setpriv --reuid {user.pw_uid} --regid {user.pw_gid} --clear-groups"
        hold = _HOLD.format(size=size_bytes, owner=owner, mount=self._mount, drop=drop)
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", hold],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline().decode().strip()
        if said != "mounted":
            self.remove()
            raise NoDisk(f"no tmpfs can be mounted here: {said}")
        self.path = Path(f"/proc/{self._holder.pid}/root{self._mount}")
        self._ballast = self.path / "ballast"
        # Its /proc is open to that user when it has dropped its rights.
        name = Path(f"/proc/{self._holder.pid}/comm")
        until(lambda: name.read_text().strip() == "cat")

    def fill(self) -> None:
        """Take all that is free."""
        with self._ballast.open("ab", buffering=0) as ballast:
            chunk = _CHUNK
            while chunk:
                try:
                    ballast.write(chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    chunk = chunk[: len(chunk) // 2]

    @property
    def inside(self) -> Path:
        """Where its root is for a process that has entered."""
        return Path(self._mount)

    def enter(self) -> None:
        """Let the calling process see it at `inside`, for `preexec`. Of use where links are followed: `path`
        is one."""
        libc = ctypes.CDLL(None, use_errno=True)
        for kind in ("user", "mnt"):
            name = f"/proc/{self._holder.pid}/ns/{kind}"
            if os.readlink(name) != os.readlink(f"/proc/self/ns/{kind}"):
                descriptor = os.open(name, os.O_RDONLY)
                if libc.setns(descriptor, 0):
                    raise OSError(ctypes.get_errno(), "setns")
                os.close(descriptor)

    def free(self) -> None:
        """Give it back. Idempotent."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        """End the namespace, and all that is on the disk with it."""
        with contextlib.suppress(OSError):
            self._holder.communicate(b"")
        shutil.rmtree(self._mount, ignore_errors=True)
