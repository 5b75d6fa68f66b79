"""Secrets of a test run, and whether a text has one in it.

Looked for is what has the form of a credential of ours, and every secret that was registered, was issued by a
server over HTTP, or is known to the process by value. How credentials look is said here once more, apart from
the code that hides them. What is looked at is in `trap.py`, but for the logs of servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from conduit import redaction

FORMS = {
    "an API key": re.compile(r"ck_(?:live|test)_[0-9A-Za-z]{8}_[0-9A-Za-z]{20,}"),
    "a token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a ticket": re.compile(r"(?<![a-z])ct_[0-9A-Za-z_-]{24,}"),
    "a header": re.compile(
        r"(?i)authorization\W{1,6}(?:bearer|basic)\s+\w{8,}|x-(?:api-key|internal-secret): \w{8,}"
    ),
    "a ticket in an address": re.compile(r"[?&]ticket=\w{4,}"),
    "a password in an address": re.compile(r"://[^\s:/@]*:(?!(?i:password)@|…)[^\s:/@]+@"),
    "a private key": re.compile(r"BEGIN [A-Z ]*PRIVATE KEY-----\\?\w"),
}
# A shorter one may be a word that is said for another reason.
REGISTERED_MIN_CHARS = 12
REGISTERED_MAX_COUNT = 1000
# One of fewer different characters stands in payloads of other tests too.
REGISTERED_MIN_DIFFERENT = 5
# Of what stands around a secret that was found.
AROUND_CHARS = 80
# The settings that are secrets, and those that may have one in them.
SETTINGS = ("DEFAULT_API_KEY", "INTERNAL_SECRET", "CONDUIT_KEY_PEPPER", "CONDUIT_API_KEY")
URLS = ("DATABASE_URL", "REDIS_URL")
_PASSWORD = re.compile(r"://[^\s:/@]*:([^\s@]+)@|[?&](?:ssl)?password=([^\s&]+)")

_registered: dict[str, None] = {}
# Logs of processes that run → how far they were read.
_logs: dict[Path, int] = {}
_found: list[str] | None = None


class Leak(AssertionError):
    """A secret was logged."""


def register(*secrets: str) -> None:
    """From now on nothing may show these. Raises ValueError for one that other texts may have."""
    for secret in secrets:
        # What is shown of an API key is its beginning.
        for part in (secret, secret.rpartition("_")[2]):
            if len(part) >= REGISTERED_MIN_CHARS:
                if len(set(part)) < REGISTERED_MIN_DIFFERENT:
                    raise ValueError("a secret of a test has to be of many different characters")
                _registered[part] = None
    while len(_registered) > REGISTERED_MAX_COUNT:
        del _registered[next(iter(_registered))]


def register_issued(body: bytes) -> None:
    """The credentials in an answer of a server."""
    if b'"ck_' in body or b'"eyJ' in body or b'"ct_' in body:
        text = body.decode(errors="replace")
        register(*(found for form in FORMS.values() for found in form.findall(text)))


def register_settings(settings: dict[str, str]) -> None:
    """The secrets in the environment of a process."""
    register(*(settings[name] for name in SETTINGS if name in settings))
    urls = " ".join(settings[name] for name in URLS if name in settings)
    register(*(part for found in _PASSWORD.findall(urls) for part in found if part))


def collect() -> None:
    """From now on leaks are kept for `leaks`."""
    global _found
    _found = []


def leaks() -> list[str]:
    """A sentence for each that was found since the last call, also in logs of processes that still run."""
    for log in [*_logs]:
        _read(log)
    found = _found or []
    collect()
    return found


def look(place: str, text: str) -> None:
    """Search what was logged or said there. Raises Leak, unless leaks are collected."""
    for what in _secrets_in(text):
        if _found is None:
            raise Leak(f"{place} has {what}")
        _found.append(f"{place} has {what}")


def watch(log: Path) -> None:
    """From now on what is written to it is searched."""
    _logs[log] = log.stat().st_size if log.exists() else 0


def unwatch(log: Path) -> None:
    """The process that writes to it has ended."""
    if log in _logs:
        _read(log, to_the_end=True)
        del _logs[log]


def _read(log: Path, *, to_the_end: bool = False) -> None:
    begin = _logs[log]
    if not log.exists() or log.stat().st_size == begin:
        return
    with log.open("rb") as file:
        file.seek(begin)
        data = file.read()
    # The rest of a line that is being written comes with it.
    whole = len(data) if to_the_end else data.rfind(b"\n") + 1
    _logs[log] = begin + whole
    look(str(log), data[:whole].decode(errors="replace"))


def _secrets_in(text: str) -> Iterator[str]:
    for name, form in FORMS.items():
        if form.search(text) is not None:
            yield f"{name}: {_part_of(text)}"
    if any(secret in text for secret in (*_registered, *redaction.known())):
        yield f"a secret of this test run: {_part_of(text)}"


def _part_of(text: str) -> str:
    """Where the secret stands, without it."""
    shown = masked(text)
    at = shown.find(redaction.MASK)
    return shown[max(0, at - AROUND_CHARS) : at + AROUND_CHARS]


def masked(text: str) -> str:
    """The text without secrets."""
    for form in FORMS.values():
        text = form.sub(redaction.MASK, text)
    for secret in sorted((*_registered, *redaction.known()), key=len, reverse=True):
        text = text.replace(secret, redaction.MASK)
    return redaction.redacted(text)
