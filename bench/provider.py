"""An identity provider whose tokens a server takes, and tokens that only look like its.

To check one of them costs more than any other credential does: its key is as large as the server takes.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from conduit.tenancy.compact import put_together, text_of
from conduit.tenancy.signatures import RSA_MAX_BITS

KEY_ID = "the-key"
EXPONENT = 65_537
_HEADER = json.dumps({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).encode()


def forged() -> str:
    """A token whose signature is a number, and not the right one."""
    payload = secrets.token_bytes(300)
    signature = bytes(1) + secrets.token_bytes(RSA_MAX_BITS // 8 - 1)
    return f"{put_together(_HEADER, payload)}.{text_of(signature)}"


def document() -> bytes:
    """Its keys: a number of the right size, which takes as long as one that has two factors."""
    number = 1 << (RSA_MAX_BITS - 1) | secrets.randbits(RSA_MAX_BITS - 2) | 1
    members = {"n": number, "e": EXPONENT}
    key = {
        name: text_of(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        for name, value in members.items()
    }
    return json.dumps({"keys": [{"kty": "RSA", "kid": KEY_ID, "alg": "RS256", **key}]}).encode()


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """It answers; the settings of a server that takes its tokens."""
    content = document()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """It says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield {
                "CONDUIT_JWKS_URL": f"http://127.0.0.1:{server.server_port}/jwks.json",
                "CONDUIT_JWT_ISSUER": "https://id.example/",
                "CONDUIT_JWT_AUDIENCE": "https://events.example",
            }
        finally:
            server.shutdown()
            thread.join()
