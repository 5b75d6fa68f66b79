"""What is done to a server with authentication: by who does not sign in, who cannot, and a tenant of it.

These are attacks as those of `bench/attacks.py`; the neighbour is another tenant. Keys and tokens that are
good come from `bench/tenants.py`, and are in the attacker's process before the bytes are made.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import secrets
from collections.abc import Callable

from bench import attacks, provider, wire
from bench.attacks import Attack, Then
from conduit.tenancy.keys import make_key

SLOW_HEADERS_COUNT = 2_000
HALF_OPEN_COUNT = 1_000
# CONDUIT_MAX_UNAUTHENTICATED, and half as many again.
UNSIGNED_COUNT = 1_500
STORM_COUNT, STORM_SHORT_COUNT = 5_000, 500
NEVER_READING_COUNT = 200
# Requests in a block, each with another credential.
SEVERAL_COUNT = 200
PUBLISHED_BYTES = 4_096
# Of a token that the server takes (CREDENTIAL_MAX_BYTES).
TOKEN_MAX_BYTES = 8_192
# What the patterns of the tokens that a server remembers (REMEMBERED_MAX_BYTES of text) take as objects.
KNOWN_MIB = 64.0
# What is good as a part of an Authorization header, but for the space.
_HEADER_BYTES = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
# What is kept on purpose, to be delivered, is not to be taken for what connections have left.
_LITTLE_TO_DELIVER = ("CONDUIT_DELIVERY_MEMORY_MAX_BYTES", str(8 << 20))
_OWN_HEADER = b'{"alg":"HS256","typ":"conduit+jwt"}'
_SUBSCRIBE = b'{"type":"subscribe","topic":"hostile","ack":"auto"}'


@dataclasses.dataclass
class Purse:
    """What the attacker was given to attack with."""

    tokens: tuple[str, ...] = ()


PURSE = Purse()


def every(short: bool) -> list[Attack]:
    """Those of `bench/attacks.py`, and these."""
    return [*attacks.attacks(short), *of_strangers(short)]


def named(name: str, short: bool) -> Attack:
    """The attack with this name. Raises KeyError."""
    return {attack.name: attack for attack in (*every(short), PUBLISHES)}[name]


def of_strangers(short: bool) -> list[Attack]:
    """Those on a server with authentication; in the short form fewer connections are opened."""
    return [*_half_open(), *_of_a_tenant(short), *_that_fail(short), *_costly()]


# The bytes ----------------------------------------------------------------------------------------


def auth_frame(credential: str) -> bytes:
    """The frame that signs in."""
    return wire.text_frame(json.dumps({"type": "auth", "token": credential}).encode())


def signs_in() -> bytes:
    """With this process's key, and subscribes."""
    return auth_frame(wire.CALLER.key) + subscribes()


def subscribes() -> bytes:
    """The frame that subscribes to the attacker's topic."""
    return wire.text_frame(_SUBSCRIBE)


def wrong_key() -> str:
    """Spelled as keys are, its check included; the server has to look for it."""
    return make_key(secrets.choice).text


def forged_token(size: int = TOKEN_MAX_BYTES) -> str:
    """Looks as the server's own do, and has the size; only the signature tells."""
    tail = "." + _text(secrets.token_bytes(32))
    front = _text(_OWN_HEADER) + "."
    room = (size - len(front) - len(tail)) * 3 // 4
    return front + _text(secrets.token_bytes(room)) + tail


def noise(size: int) -> bytes:
    """Bytes that may be in a header, at random."""
    return bytes(secrets.choice(_HEADER_BYTES) for _ in range(size))


def asks(credential: bytes, *headers: str) -> bytes:
    """A GET of what needs a right, with this after `Authorization: `."""
    head = attacks.get("/api/topics", *headers)
    return head[:-2] + b"Authorization: %b\r\n\r\n" % credential


def several(credential: Callable[[], bytes], count: int = SEVERAL_COUNT) -> bytes:
    """So many requests, each with a credential of its own."""
    return b"".join([asks(credential()) for _ in range(count)])


def _bearer(credential: str) -> bytes:
    return b"Bearer " + credential.encode()


def _text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _publish_without_right() -> bytes:
    wrong = wire.Caller()
    wrong.key = wrong_key()
    body = b'{"topic":"hostile","payload":1}'
    head = b"POST /api/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return head + b"%bContent-Length: %d\r\n\r\n%b" % (wrong.line.encode(), len(body), body)


def _of_tokens() -> bytes:
    tokens = PURSE.tokens or (forged_token(),)
    return b"".join([asks(_bearer(token)) for token in tokens])


def _slow_head() -> bytes:
    return attacks.get("/health")[:-2] + b"X-Slow: " + b"x" * 1_000


def _noises() -> bytes:
    sizes = (secrets.randbelow(4_000) + 1 for _ in range(SEVERAL_COUNT // 2))
    return b"".join([asks(noise(n)) + asks(b"Bearer " + noise(n)) for n in sizes])


# The attacks --------------------------------------------------------------------------------------

# What a tenant does beside, for its own subscribers.
PUBLISHES = Attack(
    "publishes of 4 KB",
    "requests",
    lambda: wire.request(
        "/api/publish", b'{"topic":"hostile","payload":"%b"}' % (b"x" * PUBLISHED_BYTES)
    ),
    Then.AGAIN,
    auth=True,
)


def _half_open() -> list[Attack]:
    """Connections that have begun, and do not go on."""
    silent = functools.partial(
        Attack, unit="connections", then=Then.HOLD, opened_max=60_000, auth=True
    )
    return [
        silent(
            "headers at a byte a second",
            block=_slow_head,
            then=Then.TRICKLE,
            connections=SLOW_HEADERS_COUNT,
        ),
        silent("half-open: nothing said", block=lambda: b"", connections=HALF_OPEN_COUNT),
        silent(
            "half-open: never signed in",
            block=lambda: b"",
            connections=UNSIGNED_COUNT,
            websocket=True,
        ),
        # So that the server can know within the attack that they are gone.
        silent(
            "half-open: gone without a word",
            block=signs_in,
            then=Then.VANISH,
            connections=HALF_OPEN_COUNT,
            websocket=True,
            beside=PUBLISHES.name,
            settings=(
                ("CONDUIT_PING_INTERVAL_S", "2"),
                ("CONDUIT_PONG_TIMEOUT_S", "2"),
                ("CONDUIT_SLOW_TIMEOUT_S", "2"),
                _LITTLE_TO_DELIVER,
            ),
        ),
    ]


def _of_a_tenant(short: bool) -> list[Attack]:
    """Whose key is good."""
    count = STORM_SHORT_COUNT if short else STORM_COUNT
    storm = functools.partial(
        Attack,
        unit="sign-ins",
        then=Then.HOLD,
        connections=count,
        opened_max=4 * count,
        opening=count,
        websocket=True,
        auth=True,
        drops=True,
    )
    return [
        storm("all come back, with keys", block=subscribes, upgrade_signed=True),
        storm("all come back, with auth frames", block=signs_in),
        Attack(
            "subscribers that never read",
            "connections",
            subscribes,
            Then.HOLD,
            connections=NEVER_READING_COUNT,
            websocket=True,
            reads=False,
            auth=True,
            upgrade_signed=True,
            beside=PUBLISHES.name,
            settings=(_LITTLE_TO_DELIVER,),
        ),
    ]


def _that_fail(short: bool) -> list[Attack]:
    """Sign-ins of nobody."""
    flood = functools.partial(Attack, unit="requests", then=Then.AGAIN, connections=16, auth=True)
    new = functools.partial(
        Attack, connections=64, opened_max=5_000 if short else 50_000, auth=True
    )
    return [
        flood("wrong keys", block=lambda: several(lambda: _bearer(wrong_key()))),
        flood("publishes with wrong keys", block=lambda: _publish_without_right() * SEVERAL_COUNT),
        flood("forged tokens", block=lambda: several(lambda: _bearer(forged_token()))),
        flood("noise instead of keys", block=_noises),
        new(
            "wrong keys, a connection each",
            "requests",
            lambda: asks(_bearer(wrong_key()), "Connection: close"),
            Then.WAIT,
        ),
        new(
            "wrong auth frames",
            "sign-ins",
            lambda: auth_frame(wrong_key()),
            Then.CLOSE,
            websocket=True,
        ),
        new(
            "forged tokens in auth frames",
            "sign-ins",
            lambda: auth_frame(forged_token()),
            Then.CLOSE,
            websocket=True,
        ),
    ]


def _costly() -> list[Attack]:
    """Tokens that are good, so large and so many that none is remembered when it comes again; and such as
    take long to be found wrong."""
    return [
        Attack(
            "large tokens in turn",
            "requests",
            _of_tokens,
            Then.AGAIN,
            connections=4,
            auth=True,
            needs="tokens",
            known_mib=KNOWN_MIB,
        ),
        Attack(
            "forged tokens of a provider",
            "requests",
            lambda: several(lambda: _bearer(provider.forged())),
            Then.AGAIN,
            connections=16,
            auth=True,
            needs="provider",
        ),
    ]
