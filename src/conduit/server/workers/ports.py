"""Ports that several processes share, or that are kept for one that is not there."""

from __future__ import annotations

import socket


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket that is bound and does not listen yet; port 0: a free one. `is_shared`: other processes of the
    same user may bind it too. Raises OSError that says what was wanted."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from error
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """The same, to be kept for those who share it: a socket that does not listen is given no connection.
    Raises OSError also if somebody listens there who would share it: another supervisor, for instance."""
    with bind(host, port) as alone:
        port = alone.getsockname()[1]
    return bind(host, port, is_shared=True)
