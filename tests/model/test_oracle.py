"""A model that never objects proves nothing: each kind of fault is told to it, and it must see it."""

from contextlib import nullcontext

import pytest

from conduit.core.message import (
    Death,
    NewMessage,
    Progress,
    Retention,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.protocol.frames import Ack, Nack, Subscribe
from conduit.storage.base import Heard, Rule, Start
from tests.model.oracle import at_rest
from tests.model.oracle.from_clients import ACKED, STALE, UNKNOWN, FromClients
from tests.model.oracle.from_peers import FromPeers, Seen
from tests.model.oracle.from_store import FromStore
from tests.model.oracle.log import Violation
from tests.model.oracle.state import State

EPOCH = "e1"


class Told:
    """A model that is told of a topic `a`, of messages in it, and of subscribers `one` and `two` of `s`."""

    def __init__(self, **settings):
        self.state = State(now=100.0)
        self.store, self.peers = FromStore(self.state), FromPeers(self.state)
        self.clients = FromClients(self.state)
        record = TopicRecord(1, "default", "a", EPOCH, 0, 1, 0, 0, Retention())
        self.store.did_topic_create(record)
        self.store.heard_topics([record])
        chosen = SubscriptionSettings(**settings)
        self.store.did_subscription_create(
            SubscriptionRecord(1, "default", "s", "a", 0, False, chosen),
            Start(),
            self.store.begin_subscription_create(),
        )
        self.store.heard_subscription_create(
            SubscriptionRecord(1, "default", "s", "a", 0, False, chosen)
        )

    @property
    def line(self):
        return self.state.durable["s"].lines[1]

    def publish(self, count):
        first = self.state.log.by_id[1].last_seq + 1
        seqs = list(range(first, first + count))
        batch = [NewMessage(1, f"id-{seq}", b"%d" % seq) for seq in seqs]
        self.store.did_append(batch, seqs)
        self.store.heard_append(batch, seqs)

    def join(self, client):
        frame = Seen(type="subscribed", topic="a", subscription="s")
        self.peers.subscribed(client, frame, Subscribe("a", "s"))

    def give(self, client, seq, attempt=1, failures=0):
        self.peers.message(
            client,
            Seen(
                type="message",
                topic="a",
                subscription="s",
                seq=seq,
                epoch=EPOCH,
                attempt=attempt,
                failures=failures,
                message_id=f"id-{seq}",
                payload=b"%d" % seq,
            ),
        )

    def silence(self):
        return list(at_rest.silent(self.state))


def told(**settings):
    model = Told(**settings)
    model.join("one")
    model.publish(3)
    return model


def test_a_good_run_breaks_nothing():
    model = told()
    for seq in (1, 2, 3):
        model.give("one", seq)
        assert model.clients.ack("one", Ack(message_id=f"id-{seq}")) == ACKED
    assert model.silence() == []
    assert model.line.floor == 3


def test_silence_is_seen_as_long_as_there_is_credit_and_only_then():
    model = told(max_in_flight=2)
    assert len(model.silence()) == 1
    model.give("one", 1)
    model.give("one", 2)
    assert model.silence() == []
    model.clients.ack("one", Ack(message_id="id-1"))
    assert len(model.silence()) == 1
    model.state.durable["s"].paused = True
    assert model.silence() == []


def test_a_failed_delivery_that_does_not_come_again_is_silence():
    model = told()
    for seq in (1, 2, 3):
        model.give("one", seq)
    model.clients.nack("one", Nack("id-2", delay_ms=5000))
    model.state.advance(100.5)
    assert model.silence() == []
    model.state.advance(105.0)
    assert len(model.silence()) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([("one", 2)], "1 did not, without a gap"),
        ([("one", 1, 2)], "as attempt 2"),
        ([("one", 1), ("one", 1, 2)], "while it is out"),
        ([("one", 1), ("two", 1, 2)], "while it is out"),
        ([("one", 4)], "not in the log"),
        ([("three", 1)], "no such subscription"),
    ],
)
def test_what_must_not_be_handed_out_is_seen(given, why):
    model = told()
    model.join("two")
    *before, last = given
    for one in before:
        model.give(*one)
    with pytest.raises(Violation, match=why):
        model.give(*last)


def test_what_is_settled_must_not_come_again():
    model = told()
    model.give("one", 1)
    model.clients.ack("one", Ack(message_id="id-1"))
    with pytest.raises(Violation, match="settled"):
        model.give("one", 1, 2)


def test_a_window_that_is_overrun_is_seen():
    model = told(max_in_flight=1)
    model.give("one", 1)
    with pytest.raises(Violation, match="window"):
        model.give("one", 2)


def test_a_second_one_out_is_not_strict_nor_one_behind_a_lower_one_that_waits():
    model = told(order="strict")
    model.give("one", 1)
    with pytest.raises(Violation, match="strict"):
        model.give("one", 2)
    model = told(order="strict")
    model.give("one", 1)
    model.clients.nack("one", Nack("id-1", delay_ms=5000))
    with pytest.raises(Violation, match="strict"):
        model.give("one", 2)


def test_attempts_and_failures_rise_as_they_were_seen_to():
    model = told()
    model.give("one", 1)
    model.state.advance(110.0)
    with pytest.raises(Violation, match="attempt 3"):
        model.give("one", 1, 3, 1)
    with pytest.raises(Violation, match="0 failures are told, of 1"):
        model.give("one", 1, 2, 0)


def test_a_retry_before_its_time_is_seen():
    model = told()
    model.give("one", 1)
    model.clients.nack("one", Nack("id-1", delay_ms=5000))
    model.state.advance(104.0)
    with pytest.raises(Violation, match="too early"):
        model.give("one", 1, 2, 1)


def test_verbs_for_another_attempt_or_a_settled_delivery_do_nothing():
    model = told()
    model.give("one", 1)
    assert model.clients.ack("one", Ack(message_id="id-1", attempt=2)) == STALE
    assert model.clients.ack("one", Ack(message_id="id-1", attempt=1)) == ACKED
    assert model.clients.ack("one", Ack(message_id="id-1")) == UNKNOWN
    assert model.clients.ack("one", Ack(message_id="id-2")) == UNKNOWN


def test_a_death_without_a_reason_and_one_that_is_not_stored_are_seen():
    model = told(max_attempts=1)
    model.give("one", 1)
    death = Death("d1", "default", "s", 1, 1, 1, "ack_timeout", 0, 1)
    with pytest.raises(Violation, match="becomes a dead letter"):
        model.store.begin_settle([], [death])
    model.state.advance(110.0)
    assert len(model.state.due) == 1
    places = model.store.begin_settle([Progress(1, 1, 1, 1)], [death])
    model.store.did_settle(places, [death], set())
    assert model.state.due == []
    assert ("s", 1, 1) in model.state.letters


def test_progress_that_is_stored_and_not_true_is_seen():
    model = told()
    model.give("one", 1)
    with pytest.raises(Violation, match="0, 1"):
        model.store.begin_settle([Progress(1, 1, 1, 1)], [])


def test_after_a_crash_only_what_was_stored_is_settled():
    model = told()
    model.give("one", 1)
    model.give("one", 2)
    model.clients.ack("one", Ack(message_id="id-1"))
    places = model.store.begin_settle([Progress(1, 1, 1, 2)], [])
    model.store.did_settle(places, [], set())
    model.clients.ack("one", Ack(message_id="id-2"))
    model.state.restart()
    model.join("one")
    model.give("one", 2, 2)
    with pytest.raises(Violation, match="settled"):
        model.give("one", 1, 2)


GAP = Seen(
    type="gap", topic="a", subscription="s", from_seq=1, to_seq=2, reason="retention", epoch=EPOCH
)


def test_a_gap_about_what_is_stored_is_seen():
    model = told()
    with pytest.raises(Violation, match="is stored"):
        model.peers.gap("one", GAP)
    model.store.trimmed(1, 3)
    model.peers.gap("one", GAP)
    model.give("one", 3)


@pytest.mark.parametrize(("first_seq", "is_gone"), [(3, True), (2, False)])
def test_who_reads_while_retention_removes_may_see_before_the_store_answers_only_what_it_removes(
    first_seq, is_gone
):
    model = told()
    model.state.log.begin_trim(1)
    model.peers.gap("one", GAP)
    with nullcontext() if is_gone else pytest.raises(Violation, match="2 is stored"):
        model.store.did_trim(1, Rule(Retention(max_messages=0), 0), first_seq)
    assert not model.state.log.by_id[1].is_being_trimmed


def test_what_the_broker_knows_to_be_gone_must_not_come_where_frames_are_seen_when_they_are_written():
    model = told()
    model.peers._is_direct = True
    model.store.trimmed(1, 3)
    model.give("one", 1)
    model.store.heard_trim(1, 3)
    with pytest.raises(Violation, match="the log begins with 3"):
        model.give("one", 2)


def test_a_purge_may_remove_what_was_stored_before_it_and_nothing_else():
    model = told()
    purge = Rule(Retention(), 0, 2, is_awaited=True)
    model.store.did_trim(1, purge, 3)
    with pytest.raises(Violation, match="3 was removed"):
        model.store.did_trim(1, purge, 4)


def made_anew(model) -> None:
    """The topic is deleted with messages that nobody has settled, and made anew."""
    model.store.did_topic_delete(1)
    model.store.heard_topic_delete(1)
    record = TopicRecord(2, "default", "a", "e2", 0, 1, 0, 0, Retention())
    model.store.did_topic_create(record)
    model.store.heard_topics([record])


ANEW = Seen(type="gap", topic="a", subscription="s", from_seq=1, reason="epoch_changed", epoch="e2")


def test_who_is_not_told_that_a_topic_was_made_anew_is_seen():
    model = told()
    model.give("one", 1)
    made_anew(model)
    assert len(list(at_rest.untold(model.state))) == 1
    model.peers.gap("one", ANEW)
    assert list(at_rest.untold(model.state)) == []
    assert model.state.durable["s"].holders[0].out == 0


def test_a_gap_that_is_stored_as_heard_without_a_proof_is_seen():
    model = told()
    made_anew(model)
    heard = [Heard(1, "a", EPOCH, True)]
    model.peers.gap("one", ANEW)
    with pytest.raises(Violation, match="nothing proves it"):
        model.store.did_former_heard(heard)
    model.state.durable["s"].holders[0].settled(1)
    model.store.did_former_heard(heard)


def test_who_comes_later_and_is_not_told_what_nobody_may_have_heard_is_seen():
    model = told()
    model.store.trimmed(1, 3)
    gap = Seen(type="gap", topic="a", subscription="s", from_seq=1, to_seq=2, reason="retention")
    model.peers.gap("one", gap)
    assert list(at_rest.untold(model.state)) == []
    holder = model.state.add_holder("three", model.state.durable["s"], None)
    assert len(list(at_rest.untold(model.state))) == 1
    model.state.durable["s"].holders[0].settled(1)
    assert list(at_rest.untold(model.state)) == []
    assert holder.knows == set()


def test_a_topic_that_goes_with_what_was_not_settled_and_is_not_told_is_seen():
    model = told()
    model.store.did_topic_delete(1)
    model.store.heard_topic_delete(1)
    assert len(list(at_rest.untold(model.state))) == 1
    last = model.state.durable["s"].news.former["a"].last_seq
    gap = Seen(
        type="gap", topic="a", subscription="s", from_seq=1, to_seq=last, reason="epoch_changed"
    )
    model.peers.gap("one", gap)
    assert list(at_rest.untold(model.state)) == []
