"""The handshake as messages: what is changed, replayed, sent back or old makes no link."""

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cluster.links import handshake
from conduit.cluster.links.handshake import (
    HANDSHAKE_TIMEOUT_S,
    MESSAGE_MAX_BYTES,
    NONCE_BYTES,
    REASON_MAX_CHARS,
    Acceptor,
    Dialer,
    Identity,
    Proved,
    State,
    Versions,
    refusal,
)
from conduit.cluster.links.proofs import Secrets
from conduit.errors import ConduitError, Conflict, InvalidRequest, Unauthenticated

A = Identity("a", "0192-a")
B = Identity("b", "0192-b")
ONE = ("one-secret",)

Change = Callable[[int, bytes], bytes]
nonces = (bytes([number]) * NONCE_BYTES for number in itertools.cycle(range(1, 256)))


def dialer(secrets=ONE, own=A, target=B, number=1, now=0.0) -> Dialer:
    return Dialer(Secrets(secrets), own, target, number, next(nonces), now)


def acceptor(secrets=ONE, own=B, now=0.0) -> Acceptor:
    return Acceptor(Secrets(secrets), own, next(nonces), now)


def shake(one: Dialer, other: Acceptor, change: Change = lambda _, data: data) -> list[bytes]:
    """Let them talk until both are linked; `change` sees each message on its way. Returns the messages.
    Raises what one of them raises."""
    said = []

    def pass_on(data: bytes) -> bytes:
        said.append(change(len(said), data))
        return said[-1]

    challenge = other.receive(pass_on(one.begin()))
    proof = one.receive(pass_on(challenge))
    assert other.receive(pass_on(proof)) is None
    assert one.receive(pass_on(other.welcome())) is None
    return said


def linked(one: Dialer, other: Acceptor) -> bool:
    return one.state is State.LINKED and other.state is State.LINKED


def test_both_know_who_the_other_one_is():
    one, other = dialer(number=7), acceptor()
    shake(one, other)
    assert one.proved == Proved(B, 1, 7)
    assert other.proved == Proved(A, 1, 7)
    assert linked(one, other)


def test_the_secret_is_in_no_message():
    said = b"".join(shake(dialer(), acceptor()))
    assert ONE[0].encode() not in said


@given(st.data())
def test_no_byte_of_any_message_can_be_changed(data):
    """But for those that follow what is sent at last, which nobody waits for."""
    index = data.draw(st.integers(0, 3), label="message")
    flip = data.draw(st.integers(1, 255), label="flip")

    def change(number: int, message: bytes) -> bytes:
        if number != index:
            return message
        at = data.draw(st.integers(0, len(message) - 1), label="at")
        return message[:at] + bytes([message[at] ^ flip]) + message[at + 1 :]

    one, other = dialer(), acceptor()
    with pytest.raises(ConduitError):
        shake(one, other, change)
    assert not linked(one, other)
    assert other.proved is None or index == 3


@given(st.data())
def test_no_message_can_be_cut_or_prolonged(data):
    index = data.draw(st.integers(0, 3))
    size = data.draw(st.integers(-20, 20).filter(bool))

    def change(number: int, message: bytes) -> bytes:
        if number != index:
            return message
        return message + bytes(size) if size > 0 else message[:size]

    one, other = dialer(), acceptor()
    with pytest.raises(ConduitError):
        shake(one, other, change)
    assert not linked(one, other)


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_both(data):
    for side in (dialer(), acceptor()):
        if isinstance(side, Dialer):
            side.begin()
        with pytest.raises(InvalidRequest):
            side.receive(data)
        assert side.state is State.REFUSED


def test_what_is_deep_or_long_is_refused():
    for data in (b"\x91" * 4_000, b"\xdd\xff\xff\xff\xff", bytes(MESSAGE_MAX_BYTES + 1)):
        with pytest.raises(InvalidRequest):
            acceptor().receive(data)


def test_a_handshake_cannot_be_replayed():
    hello, challenge, proof, welcome = shake(dialer(), acceptor())
    other = acceptor()
    assert other.receive(hello) != challenge
    with pytest.raises(Unauthenticated):
        other.receive(proof)
    one = dialer()
    one.begin()
    one.receive(challenge)
    with pytest.raises(Unauthenticated):
        one.receive(welcome)


def test_what_a_node_says_cannot_be_sent_back_to_it():
    """Somebody who does not know the secret lets node B call him, calls B, and passes all on: both sides are
    the same node."""
    one = dialer(own=B, target=A)
    other = acceptor(own=B)
    with pytest.raises(Conflict, match="this is b"):
        shake(one, other)
    # Nor where the call was for B: a node does not link with itself.
    with pytest.raises(Conflict, match="itself"):
        shake(dialer(own=B, target=B), acceptor(own=B))


def test_the_proof_of_one_side_is_none_of_the_other():
    one, other = dialer(), acceptor()
    proof = one.receive(other.receive(one.begin()))
    # As a welcome, it has the right form.
    (mac,) = msgspec.msgpack.decode(proof)[1]
    as_welcome = msgspec.msgpack.encode([4, mac])
    with pytest.raises(Unauthenticated):
        one.receive(as_welcome)


@pytest.mark.parametrize(
    ("ours", "theirs", "is_linked"),
    [
        (("old",), ("old", "new"), True),
        (("old", "new"), ("new", "old"), True),
        (("new", "old"), ("new",), True),
        (("old",), ("new", "old"), True),
        (("new", "old"), ("newer", "new"), True),
        (("new", "old"), ("newer",), False),
        (("old",), ("new",), False),
    ],
)
def test_a_secret_is_changed_step_by_step(ours, theirs, is_linked):
    for one, other in ((ours, theirs), (theirs, ours)):
        sides = dialer(one), acceptor(other)
        if is_linked:
            shake(*sides)
        else:
            with pytest.raises(Unauthenticated):
                shake(*sides)
        assert linked(*sides) == is_linked


def test_who_does_not_know_the_secret_learns_nothing_of_a_node():
    said = []
    one, other = dialer(("wrong",), target=Identity("x", "y")), acceptor()
    with pytest.raises(Unauthenticated) as refused:
        shake(one, other, lambda _, data: said.append(data) or data)
    answers = [said[1], refusal(refused.value)]
    for secret in (B.incarnation, ONE[0]):
        assert secret.encode() not in b"".join(answers)
    # No proof either, to try secrets on.
    assert [len(msgspec.msgpack.decode(each)) for each in answers] == [4, 3]


@pytest.mark.parametrize("target", [Identity("b", "0192-older"), Identity("c", "0192-b")])
def test_another_incarnation_or_name_is_refused_and_told(target):
    with pytest.raises(Conflict) as refused:
        shake(dialer(target=target), acceptor())
    assert str(B) in str(refused.value)
    assert str(target) in str(refused.value)


def versions(one: Dialer, other: Acceptor, ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    one.versions, other.versions = Versions(*ours), Versions(*theirs)


@given(st.tuples(*[st.integers(1, 6)] * 4))
def test_the_newest_version_that_both_speak_is_spoken(numbers):
    ours, theirs = sorted(numbers[:2]), sorted(numbers[2:])
    both = set(range(ours[0], ours[1] + 1)) & set(range(theirs[0], theirs[1] + 1))
    one, other = dialer(), acceptor()
    versions(one, other, tuple(ours), tuple(theirs))
    if both:
        shake(one, other)
        assert one.proved.version == other.proved.version == max(both)
    else:
        with pytest.raises(Conflict):
            shake(one, other)


def test_without_a_common_version_the_reason_names_those_of_both():
    one, other = dialer(), acceptor()
    versions(one, other, (1, 2), (4, 4))
    with pytest.raises(Conflict) as refused:
        shake(one, other)
    assert "a speaks version 1 to 2 of links, and b speaks 4" in str(refused.value)


def test_a_version_cannot_be_talked_down():
    one, other = dialer(), acceptor()
    versions(one, other, (1, 3), (1, 3))

    def change(number: int, message: bytes) -> bytes:
        if number != 0:
            return message
        fields = msgspec.msgpack.decode(message)
        fields[2] = 1
        return msgspec.msgpack.encode(fields)

    with pytest.raises(Unauthenticated):
        shake(one, other, change)


def test_what_a_newer_node_adds_to_a_message_is_proved_as_well_and_does_not_matter():
    one, other = dialer(), acceptor()

    def longer(data: bytes) -> bytes:
        return msgspec.msgpack.encode([*msgspec.msgpack.decode(data), "more"])

    with pytest.raises(Unauthenticated):
        shake(one, other, lambda number, data: data if number else longer(data))
    one, other = dialer(), acceptor()
    hello = longer(one.begin())
    one._said[0] = hello
    proof = one.receive(other.receive(hello))
    other.receive(proof)
    one.receive(other.welcome())
    assert linked(one, other)


def test_a_message_has_its_place():
    said = shake(dialer(), acceptor())
    for index, message in enumerate(said):
        for begin, place in ((dialer, 1), (acceptor, 0)):
            side = begin()
            if isinstance(side, Dialer):
                side.begin()
            if index != place:
                with pytest.raises(InvalidRequest, match="does not belong here"):
                    side.receive(message)
    # After the end there is none.
    one, other = dialer(), acceptor()
    shake(one, other)
    for side in (one, other):
        with pytest.raises(InvalidRequest):
            side.receive(said[0])


def test_nobody_is_welcomed_before_the_proof():
    with pytest.raises(ValueError, match="nobody"):
        acceptor().welcome()


def test_a_refusal_is_told_to_the_dialer_in_one_printable_line():
    one = dialer()
    one.begin()
    with pytest.raises(Conflict, match=r"it refuses: no\?no") as refused:
        one.receive(refusal(Conflict("no\nno" + "x" * 1_000)))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < REASON_MAX_CHARS + 50


def test_names_that_would_break_a_log_line_are_refused():
    for name in ("", "a\nb", "é", "x" * 256):
        with pytest.raises(InvalidRequest):
            acceptor().receive(dialer(own=Identity(name, "1")).begin())


def test_there_are_five_seconds_for_all_of_it():
    one, other = dialer(now=10.0), acceptor(now=10.0)
    for side in (one, other):
        assert not side.is_late(10.0 + HANDSHAKE_TIMEOUT_S - 0.1)
        assert side.is_late(10.0 + HANDSHAKE_TIMEOUT_S)
    shake(one, other)
    assert not one.is_late(100.0)
    assert not other.is_late(100.0)


def test_every_state_but_the_last_ones_has_its_steps():
    steps = {state for side in (Dialer, Acceptor) for state, _ in side.steps}
    assert steps == {State.NEW, State.CALLED, State.CHALLENGED, State.PROVING}
    assert handshake.VERSIONS[0] <= handshake.VERSIONS[1]
