import logging

import pytest

from conduit.cluster.links import channels
from conduit.cluster.links.channels import CREDIT_STEP_BYTES, WINDOW_BYTES
from conduit.cluster.links.frames import (
    BODY_MAX_BYTES,
    FRAME_MAX_BYTES,
    ChannelClose,
    ChannelFrame,
    ChannelOpen,
    Credit,
)
from conduit.errors import InvalidRequest, LimitReached, StateError
from tests.cluster.links.sides import Side, carry


@pytest.fixture
def sides() -> tuple[Side, Side]:
    return Side(is_dialer=True), Side(is_dialer=False)


def test_both_open_channels_at_the_same_time(sides):
    one, other = sides
    ours, theirs = [one.open() for _ in range(3)], [other.open() for _ in range(3)]
    carry(one, other)
    ids = [each.channel.id for each in (*ours, *theirs)]
    assert len(set(ids)) == 6
    for conversation in (*ours, *theirs, *one.taken, *other.taken):
        assert conversation.channel.send(b"%d" % conversation.channel.id)
    carry(one, other)
    for conversation in (*ours, *theirs, *one.taken, *other.taken):
        assert conversation.bodies == [b"%d" % conversation.channel.id]
    assert (len(one.channels), len(other.channels)) == (6, 6)


def test_who_sends_more_than_the_window_waits_for_the_consumer(sides):
    one, other = sides
    other.takes = False
    ours = one.open()
    sent = 0
    while ours.channel.send(bytes(10_000)):
        sent += 10_000
    assert WINDOW_BYTES <= sent < WINDOW_BYTES + 10_000
    carry(one, other)
    (theirs,) = other.taken
    assert sum(map(len, theirs.bodies)) == sent
    assert ours.credits == 0
    # A little is not told yet; half of the window is.
    theirs.channel.take(CREDIT_STEP_BYTES - 1)
    carry(one, other)
    assert ours.credits == 0
    theirs.channel.take(1)
    carry(one, other)
    assert ours.credits == 1
    assert ours.channel.may_send()


def test_one_large_frame_passes_with_any_credit_and_is_owed(sides):
    one, other = sides
    other.takes = False
    ours = one.open()
    assert ours.channel.send(b"x")
    assert ours.channel.send(bytes(BODY_MAX_BYTES))
    assert not ours.channel.send(b"x")
    carry(one, other)
    (theirs,) = other.taken
    # Taking half of the window is not enough now.
    theirs.channel.take(CREDIT_STEP_BYTES)
    carry(one, other)
    assert not ours.channel.may_send()
    theirs.channel.take(BODY_MAX_BYTES + 1 - CREDIT_STEP_BYTES)
    carry(one, other)
    assert ours.credits == 1


def test_one_that_waits_costs_the_others_nothing(sides):
    one, other = sides
    other.takes = False
    stuck = one.open()
    while stuck.channel.send(bytes(10_000)):
        pass
    carry(one, other)
    other.takes = True
    free = one.open()
    carry(one, other)
    for _ in range(100):
        assert free.channel.send(bytes(10_000))
        carry(one, other)
    assert len(other.taken[1].bodies) == 100


def test_a_frame_that_is_empty_or_too_large_is_refused_and_costs_nothing(sides):
    one, _ = sides
    ours = one.open()
    with pytest.raises(InvalidRequest):
        ours.channel.send(b"")
    with pytest.raises(LimitReached):
        ours.channel.send(bytes(FRAME_MAX_BYTES))
    assert [type(each) for each in one.out] == [ChannelOpen]
    assert ours.channel.send(b"x")


def test_no_more_is_taken_than_has_come(sides):
    one, _ = sides
    ours = one.open()
    with pytest.raises(StateError):
        ours.channel.take(1)


# The end ------------------------------------------------------------------------------------------


def test_who_closes_is_not_told_and_the_other_one_is_told_once(sides):
    one, other = sides
    ours = one.open()
    carry(one, other)
    (theirs,) = other.taken
    ours.channel.send(b"last")
    ours.channel.close("moved", "elsewhere")
    ours.channel.close("moved", "again")
    carry(one, other)
    assert theirs.bodies == [b"last"]
    assert theirs.ends == [("moved", "elsewhere")]
    assert ours.ends == []
    assert (len(one.channels), len(other.channels)) == (0, 0)
    for each in (ours, theirs):
        assert not each.channel.is_open
        assert not each.channel.send(b"x")
        each.channel.close("moved", "late")
    assert not one.out
    assert not other.out


def test_both_close_at_the_same_time(sides):
    one, other = sides
    ours = one.open()
    carry(one, other)
    (theirs,) = other.taken
    theirs.channel.send(b"on its way")
    ours.channel.close("a", "a")
    theirs.channel.close("b", "b")
    carry(one, other)
    assert (ours.ends, theirs.ends) == ([], [])
    assert (len(one.channels), len(other.channels)) == (0, 0)


@pytest.mark.parametrize(("kind", "code"), [("refused", "conflict"), ("bug", "internal")])
def test_a_channel_that_is_refused_is_closed(sides, caplog, kind, code):
    one, other = sides
    ours = one.open(kind)
    ours.channel.send(b"early")
    carry(one, other)
    assert [each for each, _ in ours.ends] == [code]
    assert "bug" not in ours.ends[0][1]
    assert len(other.channels) == 0
    assert len(caplog.records) == (kind == "bug")


def test_a_user_that_fails_loses_its_channel_and_no_other(sides, caplog):
    one, other = sides
    ours, beside = one.open(), one.open()
    carry(one, other)
    theirs = other.taken[0]

    def broken(_body):
        raise RuntimeError("a bug in a user")

    theirs.on_frame = broken
    ours.channel.send(b"x")
    beside.channel.send(b"y")
    carry(one, other)
    assert [each for each, _ in ours.ends] == ["internal"]
    assert [each for each, _ in theirs.ends] == ["internal"]
    assert other.taken[1].bodies == [b"y"]
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


def test_when_the_link_goes_each_is_told_once_in_steps(sides):
    one, other = sides
    ours = [one.open() for _ in range(1_000)]
    carry(one, other)
    steps = one.channels.end("it is cut")
    next(steps)
    assert sum(len(each.ends) for each in ours) == 1
    # One that is closed meanwhile hears nothing.
    ours[-1].channel.close("x", "x")
    for _ in steps:
        pass
    assert [each.ends for each in ours[:-1]] == [[("unavailable", "it is cut")]] * 999
    assert ours[-1].ends == []
    assert len(one.channels) == 0


# A line that is too long ---------------------------------------------------------------------------


def test_a_line_that_is_too_long_holds_all_back_and_they_go_on_in_turn(sides):
    one, _ = sides
    ours = [one.open() for _ in range(3)]
    one.is_congested = True
    for each in ours:
        assert not each.channel.send(b"x")
    order = []
    for number, each in enumerate(ours):
        each.on_credit = lambda number=number: order.append(number)
    one.is_congested = False
    one.channels.drained()
    steps = one.steps.popleft()
    next(steps)
    assert order == [0]
    # The first one has filled it again: the others wait on.
    one.is_congested = True
    assert list(steps) == []
    one.is_congested = False
    one.channels.drained()
    one.work()
    assert order == [0, 1, 2]
    one.channels.drained()
    assert not one.steps


def test_credit_that_comes_while_the_line_is_too_long_is_told_when_it_is_not(sides):
    one, other = sides
    other.takes = False
    ours = one.open()
    while ours.channel.send(bytes(WINDOW_BYTES)):
        pass
    carry(one, other)
    one.is_congested = True
    other.taken[0].channel.take(WINDOW_BYTES)
    carry(one, other)
    assert ours.credits == 0
    one.is_congested = False
    one.channels.drained()
    one.work()
    assert ours.credits == 1


# Who breaks the protocol --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        ChannelFrame(2, b"x"),
        ChannelFrame(1, b"x"),
        Credit(4, 1),
        ChannelClose(3, "x", "x"),
        ChannelOpen(2, "k", b""),
    ],
)
def test_a_channel_that_never_was_ends_the_link(sides, frame):
    one, _ = sides
    with pytest.raises(InvalidRequest):
        one.get(frame)


def test_ids_are_never_used_again(sides):
    _, other = sides
    other.get(ChannelOpen(8, "k", b""))
    other.get(ChannelClose(8, "x", "x"))
    for number in (8, 6):
        with pytest.raises(InvalidRequest):
            other.get(ChannelOpen(number, "k", b""))
    other.get(ChannelFrame(8, b"late"))


def test_more_than_there_was_credit_for_ends_the_link(sides):
    _, other = sides
    other.takes = False
    other.get(ChannelOpen(2, "k", b""))
    other.get(ChannelFrame(2, bytes(WINDOW_BYTES)))
    with pytest.raises(InvalidRequest):
        other.get(ChannelFrame(2, b"x"))


def test_credit_for_what_was_not_sent_ends_the_link(sides):
    one, _ = sides
    one.open().channel.send(bytes(100))
    with pytest.raises(InvalidRequest):
        one.get(Credit(2, 101))


def test_each_side_opens_so_many_and_no_more(sides, monkeypatch):
    monkeypatch.setattr(channels, "CHANNELS_MAX_COUNT", 3)
    one, other = sides
    ours = [one.open() for _ in range(3)]
    with pytest.raises(LimitReached):
        one.open()
    ours[0].channel.close("x", "x")
    one.open()
    # Who does not count is refused by the other side.
    other.get(ChannelOpen(2, "k", b""))
    for number in (4, 6, 8):
        other.get(ChannelOpen(number, "k", b""))
    assert [each.id for each in other.out] == [8]
    assert len(other.channels) == 3
