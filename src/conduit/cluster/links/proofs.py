"""The secret of a cluster: how a node proves that it knows it, without saying it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

MAC_BYTES = 32


def split_secrets(text: str) -> tuple[str, ...]:
    """The secrets in a setting: one, or several with blanks between them."""
    return tuple(text.split())


class Secrets:
    """The first one proves, and any of them is accepted.

    So it can be changed while all nodes run: the new one goes behind the old one on each node, then before
    it on each, then alone.
    """

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a cluster needs a secret")
        self._secrets = tuple(secret.encode(errors="surrogatepass") for secret in secrets)

    def prove(self, parts: Sequence[bytes]) -> bytes:
        """The proof that who knows the secret has said these parts: MAC_BYTES of HMAC-SHA-256."""
        return _mac(self._secrets[0], parts)

    def is_proof(self, mac: bytes, parts: Sequence[bytes]) -> bool:
        """Whether this is one. It takes the same time whichever of the secrets it is of, or of none."""
        found = [hmac.compare_digest(mac, _mac(secret, parts)) for secret in self._secrets]
        return any(found)


def _mac(secret: bytes, parts: Sequence[bytes]) -> bytes:
    # With their lengths, or a byte could move from one part to the next.
    said = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, said, "sha256")
