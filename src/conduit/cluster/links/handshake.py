"""How two nodes prove to each other who they are, before their link begins. Pure.

```
dialer                                                           acceptor
   Hello      versions, number, both identities, nonce   →
             ←   Challenge   versions, nonce
   Proof      of what was said, as the dialer            →
             ←   Welcome     proof of what was said, as the acceptor
             or  Refused     a code and a reason
```

Theory of operation. A proof is an HMAC, with the secret of the cluster, over the side that makes it and all
messages before it, as the bytes that were on the wire. While a secret is changed a node has several: the
dialer proves each, and the acceptor one that both have. So there is a link only if both have seen the same
names, incarnations, versions and nonces. Nonces are of this attempt: an old proof is worth nothing. Each
proof names its side: it is worth nothing to whoever sends it back. The secret itself is never sent.

The dialer proves first. It was told by the store whom to call, while anybody can call an acceptor: with a
proof of its own he could try secrets at home. What is wrong with the name, the incarnation or the versions is
told to those only who have proved that they know the secret.

What comes behind the handshake is neither signed nor encrypted: see docs/threat-model.md.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from conduit.cluster.links.proofs import MAC_BYTES, PROOFS_MAX_COUNT, Secrets
from conduit.errors import ConduitError, Conflict, InvalidRequest, Unauthenticated

# For all of it. The time of a dialer includes finding the name and connecting.
HANDSHAKE_TIMEOUT_S = 5.0
# Of one message.
MESSAGE_MAX_BYTES = 4_096
NONCE_BYTES = 32
REASON_MAX_CHARS = 500
# Of what is said on a link (`frames.py`): the oldest and the newest version that this node speaks.
VERSIONS = (1, 1)

_Version = Annotated[int, Meta(ge=1, lt=1 << 16)]
# They are told in the log.
_Name = Annotated[str, Meta(max_length=255, pattern=r"\A[!-~]+\Z")]
_Incarnation = Annotated[str, Meta(max_length=64, pattern=r"\A[!-~]+\Z")]
_Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
_Mac = Annotated[bytes, Meta(min_length=MAC_BYTES, max_length=MAC_BYTES)]


class Identity(msgspec.Struct, frozen=True):
    """One run of one node."""

    name: str
    incarnation: str
    """A UUID of version 7, as text."""

    def __str__(self) -> str:
        return f"{self.name} ({self.incarnation})"


class Versions(msgspec.Struct, frozen=True):
    """What a node speaks."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f"{self.oldest}" if self.oldest == self.newest else f"{self.oldest} to {self.newest}"

    def common(self, other: Versions) -> int | None:
        """The newest that both speak."""
        newest = min(self.newest, other.newest)
        return newest if newest >= max(self.oldest, other.oldest) else None


class Proved(msgspec.Struct, frozen=True):
    """What is certain when the other side has proved itself."""

    peer: Identity
    version: int
    """What is spoken on the link."""
    number: int
    """Of this attempt, among those of its dialer."""


# Messages -----------------------------------------------------------------------------------------


class Hello(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """The dialer says who it is and whom it calls."""

    oldest: _Version
    newest: _Version
    number: Annotated[int, Meta(ge=1, lt=1 << 53)]
    name: _Name
    incarnation: _Incarnation
    target_name: _Name
    target_incarnation: _Incarnation
    nonce: _Nonce


class Challenge(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """The acceptor says what is to be proved. It says nothing else of itself."""

    oldest: _Version
    newest: _Version
    nonce: _Nonce


class Proof(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """The dialer knows these secrets."""

    macs: Annotated[list[_Mac], Meta(min_length=1, max_length=PROOFS_MAX_COUNT)]


class Welcome(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """The acceptor knows one of them. What follows is the link."""

    mac: _Mac


class Refused(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """There is no link. Whoever answers may say this: nothing is proved by it."""

    code: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=REASON_MAX_CHARS)]


_Message = Hello | Challenge | Proof | Welcome | Refused
_decode = msgspec.msgpack.Decoder(_Message).decode
_encode = msgspec.msgpack.encode


def refusal(error: ConduitError) -> bytes:
    """The message that tells a dialer why there is no link."""
    return _encode(Refused(error.code, error.told[:REASON_MAX_CHARS]))


# The two sides ------------------------------------------------------------------------------------


class State(enum.Enum):
    """Of one side."""

    NEW = "nothing was said"
    CALLED = "a challenge is awaited"
    CHALLENGED = "a proof is awaited"
    PROVING = "a welcome is awaited"
    DECIDING = "the dialer has proved itself"
    LINKED = "the link has begun"
    REFUSED = "there is no link"


Step = Callable[[Any, Any, bytes], bytes | None]


class Side:
    """What both sides have. The subclass says what may come when: `steps`."""

    steps: ClassVar[Mapping[tuple[State, type[msgspec.Struct]], Step]]

    def __init__(self, secrets: Secrets, own: Identity, nonce: bytes, now: float) -> None:
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        self._secrets = secrets
        self._own = own
        self._nonce = nonce
        self.versions = Versions(*VERSIONS)
        self.ends_at = now + HANDSHAKE_TIMEOUT_S
        """When it has to be done."""
        self.state = State.NEW
        self.proved: Proved | None = None
        """The other side, once it has proved itself."""
        # As it was on the wire.
        self._said: list[bytes] = []

    def is_late(self, now: float) -> bool:
        """Whether it was not done in time."""
        return self.state is not State.LINKED and now >= self.ends_at

    def receive(self, data: bytes) -> bytes | None:
        """Take a message of the other side; returns what to answer, if anything.

        Raises InvalidRequest for what cannot be read or does not belong here, Unauthenticated for a wrong
        proof, Conflict for what is proved and cannot be. Then there is no link.
        """
        try:
            message = self._read(data)
            step = self.steps.get((self.state, type(message)))
            if step is None:
                name = type(message).__name__
                raise InvalidRequest(f"{name} does not belong here: {self.state.value}")
            return step(self, message, data)
        except ConduitError:
            self.state = State.REFUSED
            raise

    def _read(self, data: bytes) -> _Message:
        if len(data) > MESSAGE_MAX_BYTES:
            raise InvalidRequest(f"a message of a handshake has {MESSAGE_MAX_BYTES} bytes at most")
        try:
            message: _Message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"this is no message of a handshake: {error}") from error
        return message

    def _agree(self, peer: Identity, other: Versions, number: int) -> Proved:
        """What is certain now. Raises Conflict."""
        version = self.versions.common(other)
        if version is None:
            raise Conflict(
                f"{peer.name} speaks version {other} of links, and {self._own.name} speaks {self.versions}: "
                "upgrade the older node to a release in between first"
            )
        return Proved(peer, version, number)


class Dialer(Side):
    """The side that has called. `begin` is what it says first."""

    def __init__(
        self,
        secrets: Secrets,
        own: Identity,
        target: Identity,
        number: int,
        nonce: bytes,
        now: float,
    ) -> None:
        super().__init__(secrets, own, nonce, now)
        self._target = target
        self._number = number

    def begin(self) -> bytes:
        """The first message. To be called once."""
        hello = _encode(
            Hello(
                self.versions.oldest,
                self.versions.newest,
                self._number,
                self._own.name,
                self._own.incarnation,
                self._target.name,
                self._target.incarnation,
                self._nonce,
            )
        )
        self._said.append(hello)
        self.state = State.CALLED
        return hello

    def _prove(self, challenge: Challenge, data: bytes) -> bytes:
        self._said.append(data)
        self._challenge = challenge
        proof = _encode(Proof(self._secrets.prove((_BY_DIALER, *self._said))))
        self._said.append(proof)
        self.state = State.PROVING
        return proof

    def _welcomed(self, welcome: Welcome, _data: bytes) -> None:
        if self._secrets.proved([welcome.mac], (_BY_ACCEPTOR, *self._said)) is None:
            raise Unauthenticated("what answers there does not know this INTERNAL_SECRET")
        other = Versions(self._challenge.oldest, self._challenge.newest)
        self.proved = self._agree(self._target, other, self._number)
        self.state = State.LINKED

    def _refused(self, refused: Refused, _data: bytes) -> None:
        # Whoever answers there may have written it.
        reason = "".join(each if each.isprintable() else "?" for each in refused.reason)
        raise Conflict(f"it refuses: {reason}")

    steps: ClassVar[Mapping[tuple[State, type[msgspec.Struct]], Step]] = {
        (State.CALLED, Challenge): _prove,
        (State.CALLED, Refused): _refused,
        (State.PROVING, Welcome): _welcomed,
        (State.PROVING, Refused): _refused,
    }


class Acceptor(Side):
    """The side that was called. Once `proved` is there, `welcome` or `refuse` it."""

    _hello: Hello | None = None

    @property
    def caller(self) -> Identity | None:
        """Who has called, by what he says, which proves nothing; None: nobody has."""
        hello = self._hello
        return None if hello is None else Identity(hello.name, hello.incarnation)

    def _challenge(self, hello: Hello, data: bytes) -> bytes:
        self._hello = hello
        challenge = _encode(Challenge(self.versions.oldest, self.versions.newest, self._nonce))
        self._said += [data, challenge]
        self.state = State.CHALLENGED
        return challenge

    def _check(self, proof: Proof, data: bytes) -> None:
        shared = self._secrets.proved(proof.macs, (_BY_DIALER, *self._said))
        if shared is None:
            raise Unauthenticated("the proof is wrong: this node has another INTERNAL_SECRET")
        self._secrets = shared
        self._said.append(data)
        hello, peer = self._hello, self.caller
        assert hello is not None
        assert peer is not None
        called = Identity(hello.target_name, hello.target_incarnation)
        if called != self._own:
            raise Conflict(f"this is {self._own}, and not {called}")
        if peer == self._own:
            raise Conflict("a node has no link with itself")
        self.proved = self._agree(peer, Versions(hello.oldest, hello.newest), hello.number)
        self.state = State.DECIDING

    def welcome(self) -> bytes:
        """The message with which the link begins. Once, while it is DECIDING."""
        if self.state is not State.DECIDING:
            raise ValueError(f"nobody can be welcomed: {self.state.value}")
        self.state = State.LINKED
        return _encode(Welcome(self._secrets.prove((_BY_ACCEPTOR, *self._said))[0]))

    steps: ClassVar[Mapping[tuple[State, type[msgspec.Struct]], Step]] = {
        (State.NEW, Hello): _challenge,
        (State.CHALLENGED, Proof): _check,
    }


_BY_DIALER, _BY_ACCEPTOR = b"conduit link, by the dialer", b"conduit link, by the acceptor"
