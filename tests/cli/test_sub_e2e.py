"""`conduit sub` against a server."""

from __future__ import annotations

import os
import signal

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit
from tests.support.http import Api
from tests.support.server import running_server

pytestmark = pytest.mark.e2e

BIG = '{"big":9007199254740993,"small":0.1000}'


def test_a_durable_subscription_goes_on_after_what_was_printed(
    conduit: Conduit, api: Api, topic: str, name: str
) -> None:
    api.create_topic(topic)
    api.publish_many(topic, list(range(5)))
    options = ("sub", topic, "--subscription", name, "--from", "earliest")
    first = conduit.ok(*options, "--count", "3")
    assert [message["payload"] for message in first.lines] == [0, 1, 2]
    assert first.lines[0]["subscription"] == name
    assert "3 received · 3 acked" in first.err
    second = conduit.ok(*options, "--count", "2")
    assert [message["payload"] for message in second.lines] == [3, 4]


def said(conduit: Conduit, *args: str) -> list[str]:
    """What `conduit sub` says up to that it is subscribed."""
    lines = []
    with conduit.start("sub", *args) as running:
        while not lines or not lines[-1].startswith("subscribed"):
            lines.append(running.error_line().rstrip())
    return lines


def test_what_a_subscriber_makes_is_said(conduit: Conduit, topic: str, name: str) -> None:
    assert said(conduit, topic) == [f"created topic {topic}", f"subscribed to {topic}"]
    durable = (topic, "--subscription", name)
    subscribed = f"subscribed to {topic} as {name}"
    assert said(conduit, *durable) == [f"created subscription {name}", subscribed]
    conduit.ok("topic", "rm", topic, "--yes")
    assert said(conduit, *durable) == [f"created topic {topic}", subscribed]
    assert said(conduit, *durable) == [subscribed]
    both = said(conduit, f"{topic}.b", "--subscription", f"{name}.b")
    assert both[:2] == [f"created topic {topic}.b", f"created subscription {name}.b"]
    conduit.ok("subscription", "pause", name)
    assert "is paused" in said(conduit, *durable)[0]


def test_who_takes_few_of_a_subscription_leaves_the_rest_to_others(
    conduit: Conduit, topic: str, name: str
) -> None:
    conduit.ok("topic", "create", topic)
    conduit.ok("pub", topic, "1", "--count", "9")
    durable = ("sub", topic, "--subscription", name, "--from", "earliest")
    conduit.ok(*durable, "--count", "2", "--ack", "none")
    lines = conduit.ok(*durable, "--count", "9").lines
    attempts = {line["seq"]: line["attempt"] for line in lines}
    assert attempts == {1: 2, 2: 2, **dict.fromkeys(range(3, 10), 1)}


def test_a_subscription_has_the_settings_it_was_asked_for(
    conduit: Conduit, topic: str, name: str
) -> None:
    settings = ("--order", "strict", "--max-in-flight", "3", "--max-attempts", "2")
    said(conduit, topic, "--subscription", name, *settings, "--ack-wait", "500ms")
    found = conduit.ok("subscription", "get", name).json
    assert (found["order"], found["max_in_flight"]) == ("strict", 3)
    assert (found["max_attempts"], found["ack_wait_ms"]) == (2, 500)
    refused = conduit.run("sub", topic, "--subscription", name, "--max-in-flight", "4")
    assert refused.code == Exit.CONFLICT


def test_payloads_can_be_printed_alone_and_in_lines_of_ones_own(
    conduit: Conduit, api: Api, topic: str
) -> None:
    api.create_topic(topic)
    api.publish(topic, "say hi", key="k")
    conduit.ok("pub", topic, BIG)
    few = ("sub", topic, "--from", "earliest", "--count", "2")
    assert conduit.ok(*few, "--raw").out == f'"say hi"\n{BIG}\n'
    assert conduit.ok(*few, "--format", "#{seq} {key} {text}").out == f"#1 k say hi\n#2  {BIG}\n"


def test_a_count_that_is_not_reached_in_time_fails(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    api.publish(topic, 1)
    options = ("sub", topic, "--from", "earliest", "--timeout", "2s")
    done = conduit.run(*options, "--count", "2")
    assert done.code == Exit.INCOMPLETE
    assert len(done.lines) == 1
    assert conduit.ok(*options).lines == done.lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_subscriber_says_what_it_did(
    conduit: Conduit, api: Api, topic: str, number: signal.Signals
) -> None:
    with conduit.subscribe(topic) as subscriber:
        api.publish(topic, 1)
        assert subscriber.line()["payload"] == 1
        subscriber.signal(number)
        assert subscriber.wait() == Exit.INTERRUPTED
        assert "1 received · 1 acked" in subscriber.error_line()


def test_without_acks_a_message_comes_again(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    api.publish(topic, 1)
    done = conduit.ok("sub", topic, "--from", "earliest", "--ack", "none", "--count", "2")
    assert [message["attempt"] for message in done.lines] == [1, 2]
    assert "acked" not in done.err


def test_a_line_that_nobody_reads_is_not_acked(
    conduit: Conduit, api: Api, topic: str, name: str
) -> None:
    """As with `conduit sub … | head -1`: the line that breaks the pipe comes again."""
    options = (topic, "--subscription", name)
    reading, writing = os.pipe()
    with conduit.subscribe(*options, stdout=writing) as subscriber:
        os.close(writing)
        os.close(reading)
        api.publish(topic, 1)
        assert subscriber.wait() == Exit.ERROR
    assert conduit.ok("sub", *options, "--count", "1").lines[0]["payload"] == 1


def test_a_subscriber_goes_on_when_the_server_comes_back() -> None:
    with running_server(DATABASE_URL="sqlite:///conduit.db") as server:
        conduit, api = Conduit(server.url), Api(server.url)
        with conduit.subscribe("t.>", "--count", "40") as subscriber:
            api.create_topic("t.a")
            api.publish_many("t.a", list(range(20)))
            assert [subscriber.line()["payload"] for _ in range(20)] == list(range(20))
            server.restart()
            assert "connecting again" in subscriber.error_line()
            api.publish_many("t.a", list(range(20, 40)))
            assert [subscriber.line()["payload"] for _ in range(20)] == list(range(20, 40))
            assert subscriber.wait() == Exit.OK
