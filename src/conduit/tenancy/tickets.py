"""Tickets: for one WebSocket, once, within a minute. For those that can set no header and send no frame
first; an address is in the logs of proxies, where a ticket is worth nothing any more.

The store has the hash of a ticket, and what it is for; whichever server takes it first has it. A ticket that
somebody has made up is known without it, by a check that only servers can make.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256

from conduit.storage.access import AccessStore
from conduit.tenancy.claims import refused

TICKET_TTL_MS = 60_000
# So that scanners of secrets, and our log, know one when they see it.
TICKET_PREFIX = "ct_"
TICKET_FORM = r"ct_[0-9A-Za-z]{43}"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TICKET = re.compile(TICKET_FORM)
# 190 random bits, and 65 of the check.
_RANDOM_CHARS = 32
_CHECK_CHARS = 11
_LABEL = b"conduit: ticket "


class Tickets:
    """Gives and takes them. Moments are ms since the epoch, UTC. `secret`: of all servers on one store."""

    def __init__(self, store: AccessStore, secret: bytes) -> None:
        self._store = store
        self._secret = secret

    async def give(self, value: bytes, now_ms: int) -> tuple[str, int]:
        """A ticket for `value`, which is stored as it is and must not be a secret; and when it expires.

        Raises LimitReached, StoreUnavailable.
        """
        random = "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_CHARS))
        ticket = TICKET_PREFIX + random + self._check(random)
        expires_at_ms = now_ms + TICKET_TTL_MS
        await self._store.ticket_put(_hash(ticket), value, expires_at_ms, now_ms)
        return ticket, expires_at_ms

    async def take(self, ticket: str, now_ms: int) -> bytes:
        """What it was given for. Raises Unauthenticated: unknown, expired and taken ones alike; and
        StoreUnavailable. If it is cancelled, the ticket may be gone."""
        if not (_TICKET.fullmatch(ticket) and self._is_ours(ticket.removeprefix(TICKET_PREFIX))):
            raise refused()
        value = await self._store.ticket_take(_hash(ticket), now_ms)
        if value is None:
            raise refused()
        return value

    def _is_ours(self, text: str) -> bool:
        random, check = text[:_RANDOM_CHARS], text[_RANDOM_CHARS:]
        return hmac.compare_digest(check, self._check(random))

    def _check(self, random: str) -> str:
        digest = hmac.digest(self._secret, _LABEL + random.encode(), "sha256")
        return _base62(int.from_bytes(digest[:9]), _CHECK_CHARS)


def _hash(ticket: str) -> bytes:
    # Nobody finds 190 random bits by trying: no pepper and no slow hash is needed.
    return sha256(ticket.encode()).digest()


def _base62(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)
