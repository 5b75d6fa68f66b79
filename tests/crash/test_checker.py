"""A checker that never fails proves nothing: each fault is planted into a good history."""

import dataclasses

import pytest

from tests.crash.checker import check
from tests.crash.history import (
    Connected,
    Dead,
    Delivered,
    Fault,
    History,
    Published,
    Settled,
    Stored,
    Stream,
    payload_for,
    value_of,
)

COUNT = 10


def good_history() -> History:
    """Ten messages on one topic: stored, delivered in order, acked; two of them die on `doom`."""
    history = History(
        streams=[
            Stream("one", ("t",)),
            Stream("shared", ("t",), shared=True),
            Stream("strict", ("t",), strict=True),
            Stream("resuming", ("t",), durable=False),
            Stream("doom", ("t",), doomed=("-9", "-10")),
        ]
    )
    for seq in range(1, COUNT + 1):
        value, message_id = f"p-{seq}", f"id-{seq}"
        history.published.append(Published(value, "t", "ok", seq, message_id))
        history.stored.append(Stored("t", seq, value, message_id))
        for number, stream in enumerate(history.streams):
            connection = number * 10 + (seq % 2 if stream.shared else 0)
            place = (stream.name, connection, "t", seq)
            history.events.append(Delivered(*place, 1, value, message_id))
            if value.endswith(stream.doomed or ("\0",)):
                history.events.append(Settled(*place, 1, "nack", confirmed=True))
                history.dead.append(Dead(stream.name, "t", seq, 1))
            else:
                history.events.append(Settled(*place, 1, "ack"))
                history.events.append(Settled(*place, 1, "ack", confirmed=True))
    return history


def delivery(history: History, stream: str, seq: int) -> int:
    """The index of the event that delivered this seq on this stream."""
    return next(
        index
        for index, event in enumerate(history.events)
        if isinstance(event, Delivered) and (event.stream, event.seq) == (stream, seq)
    )


def kinds(history: History) -> set[str]:
    return set(check(history).violations)


def test_a_good_history_breaks_nothing():
    report = check(good_history())
    assert report.ok, report.samples
    assert report.counts["acked"] == report.counts["stored"] == COUNT
    assert report.counts["delivered"] == 5 * COUNT
    assert "duplicates" not in report.counts


@pytest.mark.parametrize(
    ("seq", "kind"), [(1, "lost_prefix"), (5, "lost_middle"), (COUNT, "lost_postfix")]
)
def test_a_lost_publish_is_found_and_placed(seq, kind):
    history = good_history()
    del history.stored[seq - 1]
    found = kinds(history)
    assert kind in found
    assert ("hole" in found) is (seq != COUNT)


def test_an_unknown_publish_may_be_lost_or_recovered_but_a_refused_one_must_not_appear():
    history = good_history()
    history.published += [Published("lost", "t", "info"), Published("saved", "t", "info")]
    history.stored.append(Stored("t", COUNT + 1, "saved", "x"))
    history.streams.clear()
    report = check(history)
    assert report.ok
    assert (report.counts["unknown"], report.counts["recovered"]) == (2, 1)
    history.published[-1] = Published("saved", "t", "fail")
    assert kinds(history) == {"unexpected"}


def test_a_value_that_is_stored_twice_is_found():
    history = good_history()
    history.stored.append(Stored("t", COUNT + 1, "p-3", "other"))
    assert "stored_twice" in kinds(history)


def test_an_id_that_is_stored_twice_is_found():
    history = good_history()
    history.published.append(Published("p-11", "t", "info"))
    history.stored.append(Stored("t", COUNT + 1, "p-11", "id-3"))
    history.streams.clear()
    assert kinds(history) == {"id_twice"}


def test_an_answer_with_the_number_of_another_message_is_found():
    history = good_history()
    history.published[3] = dataclasses.replace(history.published[3], seq=5)
    assert kinds(history) == {"acked_as_another"}


def test_a_number_that_is_given_twice_is_a_hole_too():
    history = good_history()
    history.stored[4] = dataclasses.replace(history.stored[4], seq=4)
    assert "hole" in kinds(history)


@pytest.mark.parametrize("stream", ["one", "shared", "strict", "resuming", "doom"])
def test_a_missed_delivery_is_found_on_every_kind_of_stream(stream):
    history = good_history()
    history.events = [
        event for event in history.events if not (event.stream == stream and event.seq == 4)
    ]
    assert "missed" in kinds(history)


def test_a_delivery_that_died_unseen_is_not_missed():
    history = good_history()
    history.events = [event for event in history.events if (event.stream, event.seq) != ("one", 4)]
    history.dead.append(Dead("one", "t", 4, 5))
    assert check(history).ok


@pytest.mark.parametrize("stream", ["one", "strict", "resuming"])
def test_swapped_first_deliveries_are_found(stream):
    history = good_history()
    a, b = delivery(history, stream, 4), delivery(history, stream, 5)
    history.events[a], history.events[b] = history.events[b], history.events[a]
    assert {"out_of_order", "late"} <= kinds(history)


def test_a_late_first_delivery_on_a_new_connection_is_found():
    history = good_history()
    event = history.events.pop(delivery(history, "one", 4))
    history.events = [each for each in history.events if (each.stream, each.seq) != ("one", 4)]
    history.events.append(dataclasses.replace(event, connection=99))
    assert kinds(history) == {"late"}
    history.events[-1] = dataclasses.replace(event, connection=99, attempt=2)
    assert check(history).ok, "the server says that its first try was lost with the connection"


def test_disorder_on_one_connection_of_a_shared_stream_is_found_and_between_two_it_is_not():
    history = good_history()
    a, b = delivery(history, "shared", 4), delivery(history, "shared", 6)
    history.events[a], history.events[b] = history.events[b], history.events[a]
    assert "out_of_order" in kinds(history)
    history = good_history()
    event = history.events.pop(delivery(history, "shared", 4))
    history.events.append(dataclasses.replace(event, connection=99))
    assert "out_of_order" not in kinds(history)


def test_a_strict_stream_that_goes_on_too_early_is_found():
    history = good_history()
    history.events = [
        event
        for event in history.events
        if not (isinstance(event, Settled) and (event.stream, event.seq) == ("strict", 4))
    ]
    assert kinds(history) == {"not_strict"}


def test_a_duplicate_is_counted_and_breaks_nothing():
    history = good_history()
    index = delivery(history, "one", 4)
    again = dataclasses.replace(history.events[index], attempt=2)
    history.events.insert(index + 1, again)
    report = check(history)
    assert report.ok
    assert report.counts["duplicates"] == 1


def test_a_delivery_after_a_confirmed_ack_is_found_and_after_an_unconfirmed_one_counted():
    history = good_history()
    again = dataclasses.replace(history.events[delivery(history, "one", 4)], attempt=2)
    history.events.append(again)
    assert kinds(history) == {"confirmed_ack_delivered_again"}
    history.events = [
        event
        for event in history.events
        if not (isinstance(event, Settled) and event.confirmed and event.seq == 4)
    ]
    report = check(history)
    assert report.ok
    assert report.counts["duplicates_after_ack"] == 1


def test_an_attempt_that_goes_back_after_a_confirmed_failure_is_found():
    history = good_history()
    event = history.events[delivery(history, "doom", 9)]
    history.events.append(event)
    assert "attempt_went_back" in kinds(history)
    history.events[-1] = dataclasses.replace(event, attempt=2)
    assert check(history).ok


@pytest.mark.parametrize(("stream", "seq", "kind"), [
    ("shared", 4, "confirmed_ack_delivered_again"),
    ("doom", 9, "attempt_went_back"),
])  # fmt: skip
def test_what_was_under_way_on_another_connection_is_no_fault_and_on_a_later_one_it_is(
    stream, seq, kind
):
    history = good_history()
    again = dataclasses.replace(history.events[delivery(history, stream, seq)], connection=99)
    history.events.insert(0, Connected(stream, 99))
    history.events.append(again)
    assert check(history).ok
    history.events.append(Connected(stream, 100))
    history.events.append(dataclasses.replace(again, connection=100))
    assert kinds(history) == {kind}


def test_altered_and_invented_deliveries_are_found():
    history = good_history()
    index = delivery(history, "one", 4)
    history.events[index] = dataclasses.replace(history.events[index], value="p-5")
    assert kinds(history) == {"altered"}
    history.events.append(Delivered("one", 99, "t", 77, 1, "p-77", "id-77"))
    assert "delivered_but_not_stored" in kinds(history)


def test_dead_letters_are_checked():
    history = good_history()
    history.dead.append(Dead("one", "t", 4, 5))
    assert kinds(history) == {"acked_and_dead"}
    history = good_history()
    history.dead.append(history.dead[0])
    assert kinds(history) == {"dead_twice"}
    history = good_history()
    del history.dead[0]
    assert kinds(history) == {"doomed_but_not_dead"}
    history = good_history()
    history.events.append(Settled("one", 0, "t", 4, 1, "reject", confirmed=True))
    assert kinds(history) == {"rejected_but_not_dead"}


def test_a_gap_or_an_unrecovered_resume_is_a_fault():
    history = good_history()
    history.events.append(Fault("resuming", "gap"))
    assert kinds(history) == {"fault"}


def test_a_payload_proves_its_own_integrity():
    payload = payload_for("p-1", padding=10)
    assert value_of(payload) == "p-1"
    for damaged in ({**payload, "value": "p-2"}, {**payload, "pad": "y"}, None, [], "p-1", {}):
        assert value_of(damaged).startswith("damaged")
