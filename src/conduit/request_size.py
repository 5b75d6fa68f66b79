"""How large one request may be that is within the limits: what every connection must have room for."""

from __future__ import annotations

# A frame is a payload and what stands around it: names, headers, key.
FRAME_OVERHEAD_BYTES = 65_536
# What the loop reads at once of an HTTP connection.
READ_MAX_BYTES = 262_144


def frame_max_bytes(max_payload_bytes: int) -> int:
    """Largest WebSocket message of a client, and largest body of a request but a batch."""
    return max_payload_bytes + FRAME_OVERHEAD_BYTES


def request_max_bytes(max_payload_bytes: int, max_batch_bytes: int, max_headers_bytes: int) -> int:
    """What one connection keeps at most of a request."""
    body_bytes = max(max_batch_bytes, frame_max_bytes(max_payload_bytes))
    return body_bytes + max_headers_bytes + READ_MAX_BYTES
