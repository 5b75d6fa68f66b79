"""What can be wrong with Redis, in words for an operator. redis-py's errors are translated here, and their
own texts go nowhere: they may have addresses and names in them."""

from __future__ import annotations

import enum
import os
import socket
import ssl

from redis import exceptions

from conduit.errors import RegistryUnavailable


class Trouble(enum.StrEnum):
    """Why Redis is not used. The values are shown in /health."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    TLS = "tls"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    FULL = "full"
    READ_ONLY = "read_only"
    UNSAVED = "unsaved"
    BUSY = "busy"
    CLUSTER = "redis_cluster"
    NOT_REDIS = "not_redis"
    NO_DATABASE = "no_database"
    SILENT = "silent"
    OTHER = "other"


# What it is, and what is to be done.
_WORDS: dict[Trouble, tuple[str, str]] = {
    Trouble.UNREACHABLE: (
        "it cannot be reached",
        "start it, or correct REDIS_URL: rediss:// if it speaks TLS",
    ),
    Trouble.SLOW: (
        "it does not answer in time",
        "look whether it is stopped, swaps, or runs slow commands of others (SLOWLOG GET); with rediss://"
        " also whether it speaks TLS",
    ),
    Trouble.TLS: (
        "TLS with it fails",
        "correct the ssl_… options in REDIS_URL, or the certificate of Redis",
    ),
    Trouble.REFUSED: ("it refuses the user or the password", "correct those in REDIS_URL"),
    Trouble.FORBIDDEN: (
        "the user may not do what is needed",
        "allow it: ACL SETUSER … ~conduit:* resetchannels &conduit:* +@all -@dangerous",
    ),
    Trouble.FULL: (
        "its memory is full (maxmemory)",
        "raise maxmemory, or let nothing else fill it; Conduit needs some megabytes",
    ),
    Trouble.READ_ONLY: (
        "it is a replica that takes no writes",
        "let REDIS_URL name the primary",
    ),
    Trouble.UNSAVED: (
        "it takes no writes because it cannot save to its disk",
        "see its log; Conduit does not need it to save",
    ),
    Trouble.BUSY: (
        "it is busy: loading its data, or with a script of somebody else",
        "wait; if it stays, see its log",
    ),
    Trouble.CLUSTER: (
        "it is a Redis Cluster of several parts",
        "use a Redis or Valkey that is not in cluster mode",
    ),
    Trouble.NOT_REDIS: (
        "what answers there is not Redis or Valkey 6.2 or later",
        "correct REDIS_URL; the address of a Sentinel is not the one of Redis",
    ),
    Trouble.NO_DATABASE: (
        "it has no database of this number",
        "correct the number at the end of REDIS_URL",
    ),
    Trouble.SILENT: (
        "what is announced there does not come back",
        "look at what is between here and Redis: it must pass on PUBLISH and SUBSCRIBE",
    ),
    Trouble.OTHER: ("it refuses a command", "see its log"),
}

# By what an answer begins with, in what is left of it by redis-py.
_BY_CODE = {
    "LOADING": Trouble.BUSY,
    "BUSY": Trouble.BUSY,
    "MASTERDOWN": Trouble.BUSY,
    "MISCONF": Trouble.UNSAVED,
    "NOREPLICAS": Trouble.UNSAVED,
    "OOM": Trouble.FULL,
    "READONLY": Trouble.READ_ONLY,
    "NOPERM": Trouble.FORBIDDEN,
    "NOAUTH": Trouble.REFUSED,
    "WRONGPASS": Trouble.REFUSED,
    "MOVED": Trouble.CLUSTER,
    "ASK": Trouble.CLUSTER,
    "CLUSTERDOWN": Trouble.CLUSTER,
    "CROSSSLOT": Trouble.CLUSTER,
}
_BY_TEXT = {
    "DB index is out of range": Trouble.NO_DATABASE,
    "invalid DB index": Trouble.NO_DATABASE,
    "not allowed in cluster mode": Trouble.CLUSTER,
    "unknown command": Trouble.NOT_REDIS,
}
_BY_TYPE: tuple[tuple[type[BaseException], Trouble], ...] = (
    (exceptions.BusyLoadingError, Trouble.BUSY),
    (exceptions.AuthenticationError, Trouble.REFUSED),
    (exceptions.NoPermissionError, Trouble.FORBIDDEN),
    (exceptions.OutOfMemoryError, Trouble.FULL),
    (exceptions.ReadOnlyError, Trouble.READ_ONLY),
    (exceptions.MasterDownError, Trouble.BUSY),
    (exceptions.ClusterError, Trouble.CLUSTER),
    (exceptions.AskError, Trouble.CLUSTER),
    (exceptions.InvalidResponse, Trouble.NOT_REDIS),
    (ValueError, Trouble.NOT_REDIS),
)


def unavailable(trouble: Trouble, why: str = "") -> RegistryUnavailable:
    """The error for this. `why` says more of it, in our own words."""
    what, mend = _WORDS[trouble]
    return RegistryUnavailable(f"{what} ({why})" if why else what, trouble=trouble, mend=mend)


def translated(error: BaseException) -> RegistryUnavailable:
    """The error for one that a call met."""
    if isinstance(error, RegistryUnavailable):
        return error
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return unavailable(Trouble.SLOW)
    for kind, trouble in _BY_TYPE:
        if isinstance(error, kind):
            return unavailable(trouble)
    if isinstance(error, exceptions.ResponseError):
        return _refusal(error)
    return _of_connection(error)


def _refusal(error: exceptions.ResponseError) -> RegistryUnavailable:
    text = str(error)
    code = (text.split() or [""])[0]
    for part, trouble in _BY_TEXT.items():
        if part in text:
            return unavailable(trouble)
    # A script's error has the code of what it met in its middle, in Redis 6.
    for part, trouble in _BY_CODE.items():
        if code == part or f"-{part} " in text:
            return unavailable(trouble)
    return unavailable(Trouble.OTHER, code if code.isupper() and code.isalpha() else "")


def _of_connection(error: BaseException) -> RegistryUnavailable:
    """redis-py wraps what the system says, some errors twice."""
    if "max number of clients" in str(error):
        return unavailable(Trouble.BUSY, "it has too many clients")
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted: {seen.verify_message}"
            return unavailable(Trouble.TLS, why)
        if isinstance(seen, ssl.SSLError):
            return unavailable(Trouble.TLS, _reason(seen))
        if isinstance(seen, OSError):
            return unavailable(Trouble.UNREACHABLE, _why(seen))
        seen = seen.__cause__ or seen.__context__
    return unavailable(Trouble.UNREACHABLE, "it closed the connection")


def _reason(error: ssl.SSLError) -> str:
    # One that Python made itself has none.
    reason = getattr(error, "reason", None) or ""
    return str(reason).replace("_", " ").lower()


def _why(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return "nobody listens there"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "the other side reset the connection"
        case socket.gaierror():
            return "the name of its host cannot be resolved"
        case FileNotFoundError():
            return "its socket, or a file that REDIS_URL names, does not exist"
        case OSError() if error.errno:
            return os.strerror(error.errno)
    return "no address of its host takes connections"
