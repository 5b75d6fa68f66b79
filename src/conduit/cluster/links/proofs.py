"""The secret of a cluster: how a node proves that it knows it, without saying it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from itertools import compress

MAC_BYTES = 32
# Of one side in one handshake: more than a setting may have secrets.
PROOFS_MAX_COUNT = 16


def split_secrets(text: str) -> tuple[str, ...]:
    """The secrets in a setting: one, or several with blanks between them."""
    return tuple(text.split())


class Secrets:
    """A node proves each of them, and any that the other one has as well is enough.

    So it can be changed while all nodes run: each gets the new one beside the old one, and then the new one
    alone.
    """

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a cluster needs a secret")
        self._secrets = tuple(secret.encode(errors="surrogatepass") for secret in secrets)

    def prove(self, parts: Sequence[bytes]) -> list[bytes]:
        """Of each secret the proof that who knows it has said these parts: MAC_BYTES of HMAC-SHA-256."""
        return [_mac(secret, parts) for secret in self._secrets]

    def proved(self, macs: Sequence[bytes], parts: Sequence[bytes]) -> Secrets | None:
        """Those that these are proofs of, or None. It takes the same time whichever these are, or none."""
        own = self.prove(parts)
        found = [sum(hmac.compare_digest(mac, each) for mac in macs) for each in own]
        shared = Secrets.__new__(Secrets)
        shared._secrets = tuple(compress(self._secrets, found))
        return shared if shared._secrets else None


def _mac(secret: bytes, parts: Sequence[bytes]) -> bytes:
    # With their lengths, or a byte could move from one part to the next.
    said = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, said, "sha256")
