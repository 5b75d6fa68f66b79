"""API keys: how they are spelled, made and kept.

`ck_live_<id>_<secret><check>`. The id is public and finds the key. The check tells a key from what only looks
like one, without asking anybody: so a scanner finds a key that was published.
"""

from __future__ import annotations

import hmac
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

from conduit.redaction import MASK

PREFIX = "ck_live_"
ID_LENGTH = 8
SECRET_LENGTH = 32
CHECK_LENGTH = 6
# The pepper that is made where none is set.
PEPPER_BYTES = 32

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(rb"ck_live_([0-9A-Za-z]{8})_[0-9A-Za-z]{32}([0-9A-Za-z]{6})")
_ID = re.compile(r"[0-9A-Za-z]{8}")

Choose = Callable[[str], str]
"""One of the characters, each as likely as the others: `secrets.choice`."""


class NewKey(NamedTuple):
    """A key that was just made. `text` is the secret."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r}, text={MASK!r})"


def make_key(choose: Choose, key_id: str | None = None) -> NewKey:
    """A new key; with `key_id` a new secret of that one. 32 characters of base62 are 190 bits."""
    key_id = key_id or _random(choose, ID_LENGTH)
    front = f"{PREFIX}{key_id}_{_random(choose, SECRET_LENGTH)}"
    return NewKey(key_id, front + _check_of(front.encode()))


def first_id(pepper: bytes, revision: int) -> str:
    """The id of the first key: the same for all who see that there is none in the same store, at the same
    revision of it. So only one of them can store one."""
    digest = hmac.digest(pepper, b"conduit: the first key, after %d" % revision, "sha256")
    return "".join(_BASE62[byte % len(_BASE62)] for byte in digest[:ID_LENGTH])


def id_of(key: bytes) -> str | None:
    """The id of what is spelled as a key is, its check included; else None."""
    found = _KEY.fullmatch(key)
    if found is None or _check_of(key[:-CHECK_LENGTH]).encode() != found[2]:
        return None
    return found[1].decode()


def is_key_id(text: str) -> bool:
    """Whether it looks as ids of keys do; nothing else has to be looked for."""
    return _ID.fullmatch(text) is not None


def hash_of(pepper: bytes, key: bytes) -> bytes:
    """What is kept in place of a key: HMAC-SHA-256. A slow hash would protect nothing more, as nobody guesses
    190 bits, and would let whoever sends wrong keys keep the server busy."""
    return hmac.digest(pepper, key, "sha256")


def _random(choose: Choose, length: int) -> str:
    return "".join(choose(_BASE62) for _ in range(length))


def _check_of(front: bytes) -> str:
    """CRC-32 in base 62, of a fixed length."""
    number, digits = zlib.crc32(front), ""
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
