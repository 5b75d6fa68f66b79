"""Credentials as Conduit makes them, and as its users may choose them: for tests of what hides them."""

from __future__ import annotations

import string

from hypothesis import strategies as st

BASE62 = string.digits + string.ascii_letters
BASE64URL = BASE62 + "-_"


def _of(alphabet: str, min_size: int, max_size: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=min_size, max_size=max_size)


def api_keys() -> st.SearchStrategy[str]:
    """`ck_live_<id>_<secret><check>`"""
    return st.builds(
        "ck_{}_{}_{}".format,
        st.sampled_from(["live", "test"]),
        _of(BASE62, 8, 8),
        _of(BASE62, 38, 38),
    )


def tokens() -> st.SearchStrategy[str]:
    """JSON Web Tokens."""
    part = _of(BASE64URL, 12, 80)
    return st.builds("eyJ{}.eyJ{}.{}".format, part, part, part)


def tickets() -> st.SearchStrategy[str]:
    return st.builds("ct_{}".format, _of(BASE62, 32, 43))


def hidden(credential: str) -> str:
    """The part of it that may not be seen."""
    return credential.split("_", 3)[-1] if credential.startswith(("ck_", "ct_")) else credential[3:]
