"""What may be published: the bounds of a payload, of keys, headers and batches."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from uuid_utils import uuid7

from conduit.broker.catalog import Topic
from conduit.core.dedupe import payload_hash
from conduit.core.message import NewMessage
from conduit.errors import InvalidRequest, LimitReached
from conduit.names import check_key
from conduit.protocol.batch import check_batch_count
from conduit.protocol.codec import encode_json
from conduit.protocol.depth import is_deeper
from conduit.protocol.frames import PublishRequest

HEADERS_MAX_COUNT = 64
HEADERS_MAX_BYTES = 16 << 10


class PublishLimits(msgspec.Struct, frozen=True):
    """Bounds of one request, and whether its topics may be new."""

    max_payload_bytes: int = 262_144
    max_json_depth: int = 128
    max_batch_count: int = 1_000
    auto_create_topics: bool = False
    timeout_s: float = 5.0
    """How long a publish waits for the store."""


def size_of(request: PublishRequest) -> int:
    """Bytes of its payload, key and headers, as a stored message counts them."""
    size_bytes = memoryview(request.payload).nbytes
    if request.key is not None:
        size_bytes += len(request.key.encode(errors="surrogatepass"))
    if request.headers:
        size_bytes += len(encode_json(request.headers))
    return size_bytes


class Admission:
    """Makes messages of requests, or says why not. It knows nothing of what was published before."""

    def __init__(self, limits: PublishLimits) -> None:
        self.auto_create_topics = limits.auto_create_topics
        self.timeout_s = limits.timeout_s
        self._max_payload_bytes = limits.max_payload_bytes
        self._max_json_depth = limits.max_json_depth
        self._max_batch_count = limits.max_batch_count

    def check_count(self, requests: Sequence[PublishRequest]) -> None:
        """Raises InvalidRequest if a batch has too many messages, or none."""
        check_batch_count(len(requests), self._max_batch_count)

    def check_payload(self, request: PublishRequest, path: str = "") -> None:
        """Raises LimitReached `payload_too_large`, or InvalidRequest `json_too_deep`; `path` is where the
        request stands, for the name of the field. May take 10 ms, if the payload is as large as it may be."""
        payload = bytes(request.payload)
        if len(payload) > self._max_payload_bytes:
            raise LimitReached(
                f"payload has {len(payload)} bytes, the limit is {self._max_payload_bytes}",
                code="payload_too_large",
                field=f"{path}payload",
            )
        if is_deeper(payload, self._max_json_depth):
            raise InvalidRequest(
                f"payload is nested deeper than {self._max_json_depth} levels, which is the limit",
                code="json_too_deep",
                field=f"{path}payload",
            )

    def message(
        self, topic: Topic, request: PublishRequest, path: str = "", *, is_checked: bool = False
    ) -> NewMessage:
        """The request as a new message of the topic; `is_checked` if `check_payload` was called for it.

        Raises what that does, also if its tenant may not have so large a payload, and InvalidRequest for all
        else.
        """
        payload = bytes(request.payload)
        if topic.allowance.bounds_messages:
            topic.allowance.check_message(len(payload), f"{path}payload")
        if not is_checked and (
            len(payload) > self._max_payload_bytes or is_deeper(payload, self._max_json_depth)
        ):
            self.check_payload(request, path)
        message = NewMessage(topic.topic_id, str(uuid7()), payload)
        if request.key is not None:
            message.key = check_key(request.key, f"{path}key")
        if request.idempotency_key is not None:
            message.idempotency_key = check_key(request.idempotency_key, f"{path}idempotency_key")
            message.payload_hash = payload_hash(payload)
        if request.headers is not None:
            message.headers = _checked_headers(request.headers, f"{path}headers")
        return message


def _checked_headers(headers: dict[str, str], field: str) -> bytes | None:
    if not headers:
        return None
    encoded = encode_json(headers)
    if len(headers) > HEADERS_MAX_COUNT or len(encoded) > HEADERS_MAX_BYTES:
        raise InvalidRequest(
            f"{field} may have {HEADERS_MAX_COUNT} entries and {HEADERS_MAX_BYTES} bytes",
            field=field,
        )
    return encoded
