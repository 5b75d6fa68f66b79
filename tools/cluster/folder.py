"""Where a cluster has its files: a folder that is thrown away, or one that is kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

# By it a folder is known as a cluster's; it is locked while one runs there.
LOCK = "cluster.lock"
# Of whom one exists. PostgreSQL refuses to run as root, and nothing here needs it.
OTHER_USERS = ("postgres", "nobody")
# The path of a socket may have 104 bytes where it may have the fewest, and the longest here ends with this.
SOCKET = "postgresql/.s.PGSQL.5432"
SOCKET_MAX_BYTES = 103


class Unusable(Exception):
    """A cluster cannot be started like this; the text says why, and what to do."""


class Folder:
    """The folder of one cluster. Sockets are in it, so that only its owner reaches the databases.

    `user` is who runs PostgreSQL, Redis and nginx, if that is not to be us.
    """

    def __init__(self, path: Path, *, is_kept: bool) -> None:
        if len(os.fsencode(path / SOCKET)) > SOCKET_MAX_BYTES:
            raise Unusable(f"{path} is too long a path for sockets in it: choose a shorter one")
        self.path = path
        self.is_kept = is_kept
        self.user = _other_user() if os.geteuid() == 0 else None

    def own(self, name: str) -> Path:
        """The folder below it that only we read."""
        made = self.path / name
        made.mkdir(mode=0o700, exist_ok=True)
        return made

    def of_user(self, name: str) -> Path:
        """The same of `user`."""
        made = self.own(name)
        if self.user is not None:
            shutil.chown(made, self.user)
        return made

    @property
    def key(self) -> Path:
        """The file for the operator's key, which the first start with authentication makes."""
        return self.path / "admin-key"

    def asks_for_keys(self, auth: str | None) -> bool:
        """Whether its nodes do; `auth`: true, false, or None for as the last time. It is noted."""
        noted = self.path / "asks-for-keys"
        asks = noted.exists() if auth is None else auth == "true"
        if asks:
            noted.touch()
        else:
            noted.unlink(missing_ok=True)
        return asks

    def log(self, name: str) -> Path:
        """The file for what the program of this name says."""
        return self.own("logs") / f"{name}.log"


@contextlib.contextmanager
def opened(keep: Path | None) -> Iterator[Folder]:
    """The folder `keep`, made if need be; None: a new one, removed at the end with all that is in it.

    Raises Unusable.
    """
    if keep is None:
        path = Path(tempfile.mkdtemp(prefix="conduit-cluster-"))
        try:
            yield _reachable(Folder(path, is_kept=False), is_new=True)
        finally:
            shutil.rmtree(path, ignore_errors=True)
    else:
        with _kept(keep.absolute()) as folder:
            yield folder


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[Folder]:
    folder = Folder(path, is_kept=True)
    is_new = not path.exists()
    try:
        if is_new:
            path.mkdir(mode=0o700, parents=True)
        elif not (path / LOCK).exists() and any(path.iterdir()):
            raise Unusable(f"{path} has files in it, and none of a cluster: choose a new folder")
        lock = (path / LOCK).open("ab")
    except OSError as error:
        raise Unusable(f"{path} cannot be used: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"a cluster runs in {path} already") from None
        yield _reachable(folder, is_new=is_new)


def _reachable(folder: Folder, *, is_new: bool) -> Folder:
    """The same; others may pass through to their own folders below it, whose names they know.

    Raises Unusable if they do not come so far.
    """
    if folder.user is not None:
        if is_new:
            folder.path.chmod(0o711)
        for each in (folder.path, *folder.path.parents):
            if not each.stat().st_mode & stat.S_IXOTH:
                raise Unusable(
                    f"root may not run PostgreSQL, and {folder.user}, who does it instead, cannot pass"
                    f" through {each}: choose a folder outside of it"
                )
    return folder


def _other_user() -> str:
    for name in OTHER_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Unusable(f"as root it needs a user for the databases: {' or '.join(OTHER_USERS)}")
