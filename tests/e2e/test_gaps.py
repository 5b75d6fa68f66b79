"""Never a silent gap: retention, a recreated topic."""

import json
import time

from tests.support.raw import RawSocket
from tests.support.wait import until
from tests.support.ws import payloads


def trimmed_topic(api, topic):
    """A topic of which only the payloads 16..20 are left."""
    api.create_topic(topic, max_messages=5)
    receipts = api.publish_many(topic, list(range(1, 21)))
    until(lambda: api.topic(topic)["first_seq"] == 16)
    return receipts


def test_a_position_that_retention_has_passed_gets_a_gap_that_names_the_range(api, ws, topic):
    epoch = trimmed_topic(api, topic)[0]["epoch"]
    confirmed = ws.subscribe(topic, start={"seq": 3, "epoch": epoch})
    assert confirmed["recovered"] is False
    gap = ws.receive()
    assert gap == {
        "type": "gap",
        "topic": topic,
        "from_seq": 3,
        "to_seq": 15,
        "reason": "retention",
        "epoch": epoch,
    }
    assert payloads(ws.messages(5)) == [16, 17, 18, 19, 20]


def test_earliest_means_the_earliest_that_there_is_and_is_no_gap(api, ws, topic):
    trimmed_topic(api, topic)
    confirmed = ws.subscribe(topic, start="earliest")
    assert confirmed["seq"] == 15
    assert payloads(ws.messages(5)) == [16, 17, 18, 19, 20]
    ws.nothing(0.05, "gap")


# So large that what the server remembers of a topic's end (1 MiB) does not reach back to the start:
# what it remembers it may still deliver, though the log no longer has it.
LARGE = "x" * 100_000


def test_a_durable_subscription_that_was_away_too_long_is_told_what_it_missed(
    api, connect, topic, name
):
    api.create_topic(topic, max_messages=5)
    first = connect()
    first.subscribe(topic, subscription=name)
    api.publish(topic, 1)
    first.ack(first.receive("message"))
    first.close()
    api.publish_many(topic, [LARGE] * 19)
    until(lambda: api.topic(topic)["first_seq"] == 16)
    second = connect()
    second.subscribe(topic, subscription=name)
    gap = second.receive()
    assert (gap["type"], gap["reason"], gap["from_seq"]) == ("gap", "retention", 2)
    assert 2 < gap["to_seq"] <= 15
    frames = second.messages(20 - gap["to_seq"])
    assert [frame["seq"] for frame in frames] == list(range(gap["to_seq"] + 1, 21))
    second.request("ack", topic=topic, seq=20)
    assert api.subscription(name)["topics"][0]["lag"] == 0


def test_a_position_of_a_recreated_topic_gets_a_gap_and_the_new_epoch(api, ws, topic):
    old = api.create_topic(topic)["epoch"]
    api.publish_many(topic, [1, 2, 3])
    assert api.delete(f"/api/topics/{topic}").status == 204
    new = api.create_topic(topic)["epoch"]
    assert new != old
    api.publish_many(topic, ["first", "second"])
    confirmed = ws.subscribe(topic, start={"seq": 3, "epoch": old})
    assert confirmed["recovered"] is False
    assert confirmed["epoch"] == new
    gap = ws.receive("gap")
    assert (gap["reason"], gap["epoch"], gap["topic"]) == ("epoch_changed", new, topic)
    # All that the topic has, since nobody knows what of it the client has had.
    assert [ws.receive("message")["payload"] for _ in range(2)] == ["first", "second"]


def test_a_position_of_a_pattern_with_an_old_epoch_gets_a_gap_for_that_topic_only(api, ws, topic):
    kept = api.create_topic(f"{topic}.kept")["epoch"]
    old = api.create_topic(f"{topic}.again")["epoch"]
    api.publish_many(f"{topic}.kept", [1, 2])
    api.publish_many(f"{topic}.again", [1, 2])
    api.delete(f"/api/topics/{topic}.again")
    new = api.create_topic(f"{topic}.again")["epoch"]
    positions = {
        f"{topic}.kept": {"seq": 2, "epoch": kept},
        f"{topic}.again": {"seq": 2, "epoch": old},
    }
    confirmed = ws.subscribe(f"{topic}.*", start={"positions": positions})
    assert confirmed["recovered"] is False
    gap = ws.receive("gap")
    assert (gap["topic"], gap["reason"], gap["epoch"]) == (f"{topic}.again", "epoch_changed", new)
    assert ws.receive("message")["topic"] == f"{topic}.kept"
    ws.nothing(0.05, "gap")


def test_a_recreated_topic_counts_from_one_again(api, topic):
    api.create_topic(topic)
    api.publish(topic, 1)
    api.delete(f"/api/topics/{topic}")
    api.create_topic(topic)
    assert api.publish(topic, 1)["seq"] == 1
    assert len(api.browse(topic)) == 1


def test_retention_under_a_connected_slow_subscriber_is_announced_too(api, ws, topic):
    api.create_topic(topic, max_messages=5)
    ws.subscribe(topic, max_in_flight=2, ack_wait_ms=60_000)
    api.publish_many(topic, [LARGE] * 20)
    ws.messages(2)
    until(lambda: api.topic(topic)["first_seq"] == 16)
    ws.request("ack", topic=topic, seq=2)
    gap = ws.receive()
    assert (gap["type"], gap["reason"], gap["from_seq"]) == ("gap", "retention", 3)
    following = gap["to_seq"] + 1
    assert [frame["seq"] for frame in ws.messages(2)] == [following, following + 1]


def test_so_many_gaps_that_they_are_more_than_a_connection_may_have_unsent_all_arrive(
    api, server, topic
):
    api.create_topic(f"{topic}.there")
    # With the longest names the frames of these gaps are 5 MB, of which the kernel takes a part.
    names = [topic.ljust(254, "x") + end for end in "abcdefgh"]
    positions = {f"{topic}.{number:0200}": {"seq": 2} for number in range(1_000)}
    with RawSocket(server.port, kept_bytes=65536) as slow:
        for name in names:
            slow.request(
                type="subscribe",
                topic=f"{topic}.*",
                subscription=name,
                start={"positions": positions},
            )
        # The answer is written at once, whatever waits to be sent.
        slow.request(type="heartbeat")
        api.publish(f"{topic}.there", "before the second")
        time.sleep(1)
        frames: list[dict[str, object]] = []
        while not frames or frames[-1]["type"] != "heartbeat_ack":
            frames.append(json.loads(slow.text()))
            if len(frames) % 500 == 0:
                time.sleep(0.02)
        api.publish(f"{topic}.there", "after them")
        missing_count = len(names)
        while missing_count:
            frames.append(json.loads(slow.text()))
            missing_count -= frames[-1].get("payload") == "after them"
    for name in names:
        mine = [frame for frame in frames if frame.get("subscription") == name]
        count = 1 + len(positions)
        assert [frame["type"] for frame in mine[:count]] == ["subscribed"] + ["gap"] * (count - 1)
        assert sorted(frame["topic"] for frame in mine[1:count]) == sorted(positions)
        assert [frame["type"] for frame in mine[count:]] in (["message"], ["message"] * 2)
        assert mine[-1]["payload"] == "after them"
        api.delete(f"/api/subscriptions/{name}")
