"""`REDIS_URL`: what it may be, and what of it may be shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

REDIS_PORT = 6379
_URL = re.compile(
    r"rediss?://(?P<user>[^\s@/?#:]*:[^\s@/?#]+@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s@/?#:\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<db>\d{1,5})?)?(?:\?(?P<options>[^\s@#]*))?"
)
_SOCKET_URL = re.compile(
    r"unix://(?P<user>[^\s@/?#:]*:[^\s@/?#]+@)?(?P<path>/[^\s@?#]+)(?:\?(?P<options>[^\s@#]*))?"
)
_TRUE_OR_FALSE = frozenset({"true", "false"})
# Each with what it may be; None: any text. Others, such as time limits, are this program's own.
_TLS_OPTIONS: dict[str, frozenset[str] | None] = {
    "ssl_ca_certs": None,
    "ssl_ca_path": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "ssl_password": None,
    "ssl_check_hostname": _TRUE_OR_FALSE,
    "ssl_cert_reqs": frozenset({"required", "none"}),
}
_SECRET_OPTIONS = frozenset({"ssl_password"})


def check(text: str) -> None:
    """Raise ValueError, without a word of the text, if it names no Redis."""
    found = _URL.fullmatch(text) or _SOCKET_URL.fullmatch(text)
    if found is None:
        raise ValueError(
            "must be redis://user:password@host:port/database, rediss:// for TLS, or unix:///path; in a "
            "password, what is no letter or digit has to be percent-encoded"
        )
    parts = found.groupdict()
    if parts.get("port") is not None and not 0 < int(parts["port"]) < 1 << 16:
        raise ValueError("has a port that is not 1 to 65535")
    allowed = _allowed(text)
    for name, value in parse_qsl(parts["options"] or "", keep_blank_values=True):
        if name not in allowed:
            raise ValueError(f"may have these options only: {', '.join(allowed) or 'none'}")
        values = allowed[name]
        if not value or (values is not None and value not in values):
            raise ValueError(f"has an option {name} with a value that it may not have")


def _allowed(text: str) -> dict[str, frozenset[str] | None]:
    if text.startswith("unix://"):
        return {"db": frozenset(map(str, range(1_000)))}
    return _TLS_OPTIONS if text.startswith("rediss://") else {}


def passwords(text: str) -> list[str]:
    """What in it is secret, as it stands there and as it is meant. Nothing in what is no URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return []
    found = [parts.netloc.rpartition("@")[0].partition(":")[2]]
    found += [value for name, value in parse_qsl(parts.query) if name in _SECRET_OPTIONS]
    return [form for each in found if each for form in {each, unquote(each)}]


def database(text: str) -> int:
    """The number of the database in it; 0 without one."""
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return int(dict(parse_qsl(parts.query)).get("db", "0"))
    return int(parts.path.strip("/") or "0")


def place(text: str) -> str:
    """Where it leads, for people: host, port and database, or the socket. No user, password or option."""
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return unquote(parts.path)
    host = parts.netloc.rpartition("@")[2]
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{REDIS_PORT}"
    return host + parts.path.rstrip("/")
