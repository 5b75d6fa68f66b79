"""HTTP to one server: a request in, the body of the answer out, every fault a ClientError."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from conduit.client.credential import Credential
from conduit.client.faults import ApiError, BadAnswer, ConnectionFailed, no_connection
from conduit.client.place import Place
from conduit.client.text import encoded
from conduit.errors import InvalidRequest
from conduit.names import DOT_SEGMENTS
from conduit.protocol.codes import CODES
from conduit.protocol.depth import decode_deep

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
# Longer than the server may take to give up on its own store.
ANSWER_TIMEOUT_S = 30.0
# A page of messages is 4 MiB and one message more, which is as large as a frame at most.
ANSWER_MAX_BYTES = (64 << 20) + (5 << 20)

# What a proxy in front of the server says while there is no server behind it.
_GATEWAY_STATUSES = frozenset({502, 503, 504})


class _Problem(msgspec.Struct):
    """`application/problem+json`, as far as it is used here (RFC 9457)."""

    code: str
    detail: str
    field: str | None = None
    limit: str | None = None
    request_id: str | None = None


_problem = msgspec.json.Decoder(_Problem).decode


def address(*parts: str) -> str:
    """An address below `/api`, its parts escaped: also dots, of which a path would lose a part that has no
    more than these."""
    return "/api/" + "/".join(
        part.replace(".", "%2E") if part in DOT_SEGMENTS else quote(part, safe="") for part in parts
    )


class Rest:
    """Requests to one server. Made without I/O; `close` when done."""

    def __init__(self, place: Place, credential: Credential) -> None:
        self._place = place
        self._credential = credential
        # Made for the first request: who only subscribes does without, and without loading httpx2.
        self._http: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections that are kept open. Idempotent."""
        if self._http is not None:
            await self._http.aclose()

    async def send(
        self, method: str, path: str, body: object = None, query: dict[str, Any] | None = None
    ) -> bytes:
        """The body of a 2xx answer. Raises ApiError, ConnectionFailed, BadAnswer, InvalidRequest, NoToken.

        Query values that are None are left out. Cancelling leaves it open whether the server acted. What is
        refused because the token has expired is sent once more with another one, if there is a function that
        gives it: nothing was done.
        """
        secret = await self._credential.secret()
        request = (method, path, body, query)
        try:
            return await self._send(*request, self._credential.headers(secret))
        except ApiError as error:
            if error.code != "unauthenticated" or not self._credential.can_renew:
                raise
        secret = await self._credential.secret(refused=secret)
        return await self._send(*request, self._credential.headers(secret))

    async def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: dict[str, Any] | None,
        headers: dict[str, str],
    ) -> bytes:
        import httpx2

        if self._http is None:
            self._http = _client(self._place)
        try:
            async with self._http.stream(
                method,
                path,
                content=None if body is None else encoded(body),
                headers=headers
                if body is None
                else {**headers, "content-type": "application/json"},
                params={name: value for name, value in (query or {}).items() if value is not None},
            ) as answer:
                content = await _content(answer)
        except httpx2.TransportError as error:
            raise no_connection(f"no answer from {self._place.shown}", error) from error
        except httpx2.DecodingError as error:
            raise BadAnswer(f"the answer is not what Conduit would say: {error}") from error
        if answer.is_success:
            return content
        raise _refusal(answer, content)

    async def get(self, path: str, model: type[T], query: dict[str, Any] | None = None) -> T:
        """GET, decoded. Raises as `send` does."""
        return decode(await self.send("GET", path, query=query), model)

    async def post(self, path: str, model: type[T], body: object = None) -> T:
        """POST, decoded. Raises as `send` does."""
        return decode(await self.send("POST", path, body), model)


async def _content(answer: httpx2.Response) -> bytes:
    """The body. Raises BadAnswer for one that is larger than any of Conduit's."""
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > ANSWER_MAX_BYTES:
            raise BadAnswer(
                f"the answer is not what Conduit would say: more than {ANSWER_MAX_BYTES >> 20} MiB"
            )
    return bytes(content)


def _client(place: Place) -> httpx2.AsyncClient:
    """Raises InvalidRequest for certificates of the environment that cannot be read."""
    import httpx2

    try:
        # With a transport of its own, httpx2 does not look for proxies in the environment by itself.
        transport = httpx2.AsyncHTTPTransport(
            # Loading the certificates takes a tenth of a second, which plain HTTP can do without.
            verify=not place.url.startswith("http://"),
            proxy=place.proxy,
        )
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used: {error}",
            code="invalid_certificates",
        ) from error
    return httpx2.AsyncClient(
        base_url=place.url,
        timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        transport=transport,
        # Where it leads is not where the key is for.
        follow_redirects=False,
    )


def decode(body: bytes, model: type[T]) -> T:
    """The body of an answer as a record. Raises BadAnswer."""
    try:
        return decode_deep(body, msgspec.json.Decoder(model).decode)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"the answer is not what Conduit would say: {error}") from error


def refusal(status: int, body: bytes, retry_after: str | None) -> ApiError | None:
    """The error that a 4xx or 5xx answer stands for; None if it is not Conduit's own, but a proxy's for
    example."""
    try:
        problem = _problem(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    error = ApiError(problem.detail, code=problem.code, status=status, field=problem.field)
    known = CODES.get(problem.code)
    error.retryable = known.retryable if known is not None else status == 503
    error.retry_after_s = _seconds(retry_after)
    error.limit = problem.limit
    error.request_id = problem.request_id
    return error


def _refusal(answer: httpx2.Response, content: bytes) -> ApiError | BadAnswer | ConnectionFailed:
    status = answer.status_code
    error = refusal(status, content, answer.headers.get("retry-after"))
    if error is not None:
        return error
    text = f"HTTP {status} from {answer.url.host}, without an error that Conduit would give"
    return ConnectionFailed(text) if status in _GATEWAY_STATUSES else BadAnswer(text)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is left to the backoff."""
    return float(text) if text is not None and text.isdecimal() else None
