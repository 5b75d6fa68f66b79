"""Where an ephemeral stream begins: new, earliest, a number, a time, positions; and `recovered`."""

import datetime as dt

import pytest

from tests.support.wait import until
from tests.support.ws import Refused, payloads

HOUR = dt.timedelta(hours=1)


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_new_begins_after_the_last_message(api, ws, topic, ten):
    confirmed = ws.subscribe(topic, start="new")
    assert (confirmed["seq"], confirmed["epoch"]) == (10, ten[0]["epoch"])
    api.publish(topic, 11)
    assert payloads(ws.messages(1)) == [11]


def test_new_is_the_default(api, ws, topic, ten):
    assert ws.subscribe(topic)["seq"] == 10
    api.publish(topic, 11)
    assert payloads(ws.messages(1)) == [11]


def test_earliest_begins_with_the_first_stored_message(api, ws, topic, ten):
    confirmed = ws.subscribe(topic, start="earliest")
    assert confirmed["seq"] == 0
    api.publish(topic, 11)
    assert payloads(ws.messages(11)) == list(range(1, 12))


def test_seq_is_the_first_to_be_delivered(ws, topic, ten):
    confirmed = ws.subscribe(topic, start={"seq": 7})
    assert confirmed["seq"] == 6
    assert payloads(ws.messages(4)) == [7, 8, 9, 10]


def test_time_begins_with_the_first_message_at_or_after_it(api, ws, connect, topic, ten):
    def later():
        receipt = api.publish(topic, "later")
        return receipt if receipt["published_at"] > ten[-1]["published_at"] else None

    mark = until(later)
    frame = ws.subscribe(topic, start={"time": mark["published_at"]})
    assert frame["seq"] == mark["seq"] - 1
    assert ws.receive("message")["seq"] == mark["seq"]
    past = connect()
    past.subscribe(topic, start={"time": (instant(mark["published_at"]) - HOUR).isoformat()})
    assert past.receive("message")["seq"] == 1
    future = connect()
    future.subscribe(topic, start={"time": (instant(mark["published_at"]) + HOUR).isoformat()})
    future.nothing(0.1, "message")


def test_positions_begin_each_topic_of_a_pattern_at_its_own_number(api, ws, topic):
    epochs = {}
    for suffix in ("a", "b", "c"):
        api.create_topic(f"{topic}.{suffix}")
        epochs[suffix] = api.publish_many(f"{topic}.{suffix}", [1, 2, 3, 4])[0]["epoch"]
    positions = {
        f"{topic}.a": {"seq": 3, "epoch": epochs["a"]},
        f"{topic}.b": {"seq": 5},
    }
    confirmed = ws.subscribe(f"{topic}.*", start={"positions": positions})
    assert confirmed["recovered"] is True
    api.publish(f"{topic}.c", "new")
    frames = ws.messages(3)
    ws.nothing(0.1, "message")
    got = [(frame["topic"][-1], frame["payload"]) for frame in frames]
    assert sorted(got, key=str) == [("a", 3), ("a", 4), ("c", "new")]


def test_a_position_that_the_log_still_has_is_recovered(api, ws, topic, ten):
    confirmed = ws.subscribe(topic, start={"seq": 8, "epoch": ten[0]["epoch"]})
    assert confirmed["recovered"] is True
    assert payloads(ws.messages(3)) == [8, 9, 10]
    ws.nothing(0.05, "gap")


def test_a_position_at_the_end_is_recovered_with_nothing_to_give(api, ws, topic, ten):
    confirmed = ws.subscribe(topic, start={"seq": 11, "epoch": ten[0]["epoch"]})
    assert confirmed["recovered"] is True
    api.publish(topic, 11)
    assert payloads(ws.messages(1)) == [11]


def test_recovered_is_absent_when_no_position_was_asked_for(ws, topic):
    assert "recovered" not in ws.subscribe(topic)


def test_a_position_beyond_the_end_is_never_called_recovered(ws, topic, ten):
    try:
        confirmed = ws.subscribe(topic, start={"seq": 1000, "epoch": ten[0]["epoch"]})
    except Refused:
        return
    assert confirmed["recovered"] is False
    assert ws.receive("gap")["reason"] == "log_lost"


def test_a_reconnecting_ephemeral_client_misses_nothing(api, connect, topic, ten):
    first = connect()
    confirmed = first.subscribe(topic, start="earliest")
    seen = first.messages(4)
    first.close()
    api.publish_many(topic, [11, 12])
    second = connect()
    resumed = second.subscribe(
        topic, start={"seq": seen[-1]["seq"] + 1, "epoch": confirmed["epoch"]}
    )
    assert resumed["recovered"] is True
    api.publish(topic, 13)
    assert payloads(seen + second.messages(9)) == list(range(1, 14))


@pytest.mark.parametrize(
    "start",
    [
        "yesterday",
        5,
        [],
        {},
        {"seq": 0},
        {"seq": -1},
        {"seq": "1"},
        {"time": "noon"},
        {"time": 5},
        {"seq": 1, "time": "2026-01-01T00:00:00Z"},
        {"sequence": 1},
        {"epoch": "x"},
        {"positions": {"not a topic": {"seq": 1}}},
    ],
    ids=str,
)
def test_a_start_that_means_nothing_is_refused(ws, topic, start):
    with pytest.raises(Refused) as refused:
        ws.subscribe(topic, start=start)
    assert refused.value.code in ("invalid_request", "unknown_field", "invalid_topic")
    ws.barrier()
