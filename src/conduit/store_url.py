"""`DATABASE_URL`: what it may be, the file that it may be in, and what of it may be shown."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

SHARDS_MAX_COUNT = 64
POSTGRES_PORT = 5432
# More is no list of databases, but a wrong file.
FILE_MAX_BYTES = 65_536
SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")
_POSTGRES_HOST = r"(?:\[[^\s@/?#,\]]+\]|[^\s@/?#,:\[\]]*)(?::\d+)?"
_POSTGRES_URL = re.compile(
    rf"postgres(?:ql)?://(?:[^\s@/?#]+@)?({_POSTGRES_HOST}(?:,{_POSTGRES_HOST})*)(?:/[^\s@/?#]*)?(?:\?[^\s@#]*)?"
)
_PORT = re.compile(r":(\d+)(?=,|$)")
# Options of a connection that are as secret as a password.
_SECRET_OPTIONS = frozenset({"password", "sslpassword"})

PASSWORD_SHOWN = (
    "DATABASE_URL with a password is not taken from the command line, where every user of the machine sees "
    "it in ps: set the variable DATABASE_URL, or DATABASE_URL_FILE to a file that holds it."
)


def check(text: str) -> None:
    """Raise ValueError, without a word of the text, if it names no store."""
    if SQLITE in text and text.count("://") > 1:
        raise ValueError("may list several PostgreSQL databases, but only one SQLite file, alone")
    if text.startswith(POSTGRES):
        # A password with a slash or the like in it, not escaped, would end up as host or database.
        found = [_POSTGRES_URL.fullmatch(each) for each in text.split()]
        if not all(found):
            raise ValueError("must be postgresql://user:password@host:port/database")
        ports = [int(port) for each in found if each for port in _PORT.findall(each[1])]
        if not all(0 < port < 1 << 16 for port in ports):
            raise ValueError("has a port that is not 1 to 65535")
        if len(text.split()) > SHARDS_MAX_COUNT:
            raise ValueError(f"may list {SHARDS_MAX_COUNT} databases")
        return
    path = text.removeprefix(SQLITE)
    if path == text or not path or path.endswith("/"):
        raise ValueError("must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE")
    if path.startswith(":") or "?" in path or "#" in path:
        raise ValueError("must name a plain file, without options; leave it unset for memory")


def has_password(text: str) -> bool:
    """Whether anything in it should not be seen. True of what cannot be read: it may be a slip in a URL that
    has a password."""
    try:
        parts = [urlsplit(each) for each in text.split()]
    except ValueError:
        return True
    return any(
        ":" in part.netloc.rpartition("@")[0]
        or _SECRET_OPTIONS & {name for name, _ in parse_qsl(part.query, keep_blank_values=True)}
        for part in parts
    )


def passwords(text: str) -> list[str]:
    """What in it is secret, as it stands there and as it is meant. Nothing in what is no URL."""
    found = []
    for each in text.split():
        with contextlib.suppress(ValueError):
            parts = urlsplit(each)
            found.append(parts.netloc.rpartition("@")[0].partition(":")[2])
            found += [value for name, value in parse_qsl(parts.query) if name in _SECRET_OPTIONS]
    return [form for each in found if each for form in {each, unquote(each)}]


def from_file(path: Path) -> str:
    """The URL that a file holds, or several, separated by blanks or line breaks. Raises ValueError."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        # Nobody may ever write into a pipe, and opening it would wait for that.
        raise ValueError("names a pipe or a device, and no file")
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX_BYTES + 1).decode()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("names a file that is not text") from None
    if len(text) > FILE_MAX_BYTES or not text.split():
        raise ValueError("names a file that holds no URL")
    return " ".join(text.split())


def place(text: str) -> str:
    """Where it leads, for people: the file, or host, port and database of each. No user, password or option
    is in it, but the host that an option names."""
    if not text.startswith(POSTGRES):
        return str(Path(text.removeprefix(SQLITE)).absolute())
    return ", ".join(_server(each) for each in text.split())


def _server(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        # Whoever connects says what is wrong.
        return "an address that cannot be read"
    hosts = parts.netloc.rpartition("@")[2]
    options = dict(parse_qsl(parts.query))
    hosts = hosts or options.get("host", "localhost")
    port = options.get("port", str(POSTGRES_PORT))
    named = (host if _has_port(host) else f"{host}:{port}" for host in hosts.split(","))
    return ",".join(named) + parts.path


def _has_port(host: str) -> bool:
    # An address of IPv6 stands in brackets, a folder with a socket is no host.
    return host.startswith("/") or ":" in host.rpartition("]")[2]
