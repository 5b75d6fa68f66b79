"""Where named contexts are kept: addresses of servers, with the keys for them.

One file in the user's folder for settings, which nobody else may read: one that others can read is not used.
It is written beside itself and renamed, with its mode from its first byte on; whoever changes it has the
folder locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from conduit.errors import Conflict, InvalidRequest, NotFound

PRIVATE, PRIVATE_FOLDER = 0o600, 0o700
_OTHERS = 0o077
# Somebody's list of servers. What is larger is another file.
FILE_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Context:
    """One server, and how to sign in there."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    tenant: str | None = None


@dataclass
class Contexts:
    """All of them by name, and which one commands use that name none."""

    by_name: dict[str, Context] = field(default_factory=dict)
    current: str | None = None

    def get(self, name: str) -> Context:
        """Raises NotFound `context_not_found`."""
        if name not in self.by_name:
            raise NotFound(f"there is no context {name!r}", code="context_not_found")
        return self.by_name[name]

    def put(self, name: str, context: Context, *, replace: bool) -> None:
        """Raises Conflict `context_exists`."""
        if name in self.by_name and not replace:
            raise Conflict(f"there is a context {name!r} already", code="context_exists")
        self.by_name[name] = context

    def remove(self, name: str) -> None:
        """Raises NotFound `context_not_found`."""
        self.get(name)
        del self.by_name[name]
        if self.current == name:
            self.current = None


def place() -> str:
    """The path of the file."""
    return os.path.join(click.get_app_dir("conduit"), "contexts.json")


def load() -> Contexts:
    """What is kept; nothing, if there is no file, or none that this user may open. Raises InvalidRequest
    `contexts_not_private`, `contexts_damaged`."""
    path = place()
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(FILE_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Contexts()
    _check_private(path, found)
    return _parsed(path, text)


@contextmanager
def changing() -> Iterator[Contexts]:
    """What is kept, to be changed; it is stored at the end, unless that is an exception."""
    # Not on top: all others do without.
    import fcntl

    folder = os.path.dirname(place())
    os.makedirs(folder, mode=PRIVATE_FOLDER, exist_ok=True)
    os.chmod(folder, PRIVATE_FOLDER)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        contexts = load()
        yield contexts
        _store(contexts)
    finally:
        os.close(lock)


def _store(contexts: Contexts) -> None:
    import json
    import tempfile

    kept = {
        name: {key: value for key, value in vars(one).items() if value is not None}
        for name, one in sorted(contexts.by_name.items())
    }
    text = json.dumps({"current": contexts.current, "contexts": kept}, indent=2) + "\n"
    # A link, as people have who keep such files elsewhere, stays one.
    path = os.path.realpath(place())
    # For its owner only: mkstemp makes no other files.
    fd, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".contexts-")
    try:
        with open(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _check_private(path: str, found: os.stat_result) -> None:
    mode, user = found.st_mode & 0o777, os.geteuid()
    if user not in (found.st_uid, 0):
        raise InvalidRequest(
            f"{path} belongs to another user; it is not used", code="contexts_not_private"
        )
    if mode & _OTHERS:
        raise InvalidRequest(
            f"{path}, where keys are kept, is open to other users of this machine (mode {mode:04o}); "
            "it is not used",
            code="contexts_not_private",
        )


def _parsed(path: str, text: bytes) -> Contexts:
    import json

    try:
        kept = json.loads(text)
        current = kept.get("current")
        by_name = {name: _context(one) for name, one in kept["contexts"].items()}
        if len(text) > FILE_MAX_BYTES or not isinstance(current, str | None):
            raise TypeError
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise InvalidRequest(
            f"{path} is not what `conduit context` has written", code="contexts_damaged"
        ) from None
    return Contexts(by_name, current)


def _context(kept: dict[str, Any]) -> Context:
    context = Context(**kept)
    texts = (context.url, context.api_key or "", context.tenant or "")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return context
