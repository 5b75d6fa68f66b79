"""Stored messages, retention and subscriptions from the command line."""

from __future__ import annotations

import signal

import pytest

from conduit.cli.exits import Exit
from tests.cli.answering import answering
from tests.cli.command import Conduit
from tests.cli.terminal import Terminal
from tests.support.http import Api
from tests.support.server import RunningServer
from tests.support.wait import until
from tests.support.ws import WsClient

pytestmark = pytest.mark.e2e


def test_retention_changes_where_it_is_told_and_stays_elsewhere(
    conduit: Conduit, topic: str
) -> None:
    conduit.ok("topic", "create", topic, "--max-age", "1h", "--max-messages", "5")
    kept = conduit.ok("topic", "update", topic, "--max-age", "none", "--max-bytes", "1MB").json
    assert kept["retention"] == {"max_age_s": None, "max_messages": 5, "max_bytes": 1_000_000}
    assert conduit.ok("topic", "get", topic).json["retention"] == kept["retention"]
    assert conduit.run("topic", "update", topic).code == Exit.USAGE
    assert conduit.run("topic", "update", f"{topic}.no", "--max-age", "1h").code == Exit.NOT_FOUND


def test_messages_are_browsed_from_both_ends_and_from_places_between(
    conduit: Conduit, api: Api, topic: str
) -> None:
    api.create_topic(topic)
    api.publish_many(topic, list(range(1, 251)))

    def payloads(*args: str) -> list[int]:
        done = conduit.ok("topic", "messages", topic, "-o", "jsonl", *args)
        return [message["payload"] for message in done.lines]

    assert payloads("--limit", "3") == [250, 249, 248]
    assert payloads("--oldest", "--limit", "3") == [1, 2, 3]
    assert payloads("--from", "7", "--limit", "2") == [7, 8]
    assert payloads("--from", "7", "--newest") == [7, 6, 5, 4, 3, 2, 1]
    # More than a page has.
    assert payloads("--from", "-1h", "--limit", "240") == list(range(1, 241))
    assert payloads("--to", "-1h") == []
    told = conduit.ok("topic", "messages", topic, "--limit", "2").err
    assert "`--from 248 --newest` goes on" in told
    assert conduit.run("topic", "messages", topic, "--from", "0").code == Exit.USAGE
    assert conduit.run("topic", "messages", f"{topic}.no").code == Exit.NOT_FOUND


def test_messages_are_searched(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    for n in range(3):
        api.publish(topic, {"note": f"card {n}"}, key="ab"[n % 2], headers={"trace": str(n)})

    def seqs(*args: str) -> list[int]:
        done = conduit.ok("topic", "messages", topic, "-o", "jsonl", *args)
        return [message["seq"] for message in done.lines]

    assert seqs("--key", "a") == [3, 1]
    assert seqs("--key", "a", "--oldest", "--contains", "card") == [1, 3]
    assert seqs("-H", "trace=1") == [2]
    assert seqs("-H", "trace=1", "--header", "trace2=1") == []
    assert seqs("--contains", "card 2", "--from", "-1h") == [3]


def test_on_a_terminal_a_long_message_is_cut_to_its_width_and_its_id_is_whole(
    server: RunningServer, api: Api, topic: str
) -> None:
    api.create_topic(topic)
    api.publish(topic, "x" * 500, key="k" * 200)
    (message,) = api.browse(topic)
    with Terminal(server.url, "topic", "messages", topic, columns=80, NO_COLOR="1") as terminal:
        code, shown = terminal.end()
    assert code == Exit.OK
    assert message["message_id"] in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_message_is_shown_with_what_became_of_it(
    conduit: Conduit, api: Api, topic: str, name: str
) -> None:
    conduit.ok("subscription", "create", name, topic)
    api.publish(topic, {"id": 7}, key="k", headers={"a": "b"})
    (message,) = api.browse(topic)
    found = conduit.ok("message", "get", message["message_id"]).json
    assert (found["seq"], found["payload"], found["key"]) == (1, {"id": 7}, "k")
    assert [(each["subscription"], each["state"]) for each in found["deliveries"]] == [
        (name, "pending")
    ]
    table = conduit.ok("message", "get", message["message_id"], "-o", "table").out
    assert f"{name}  pending" in table
    assert conduit.run("message", "get", "nonsense").code == Exit.NOT_FOUND


def test_a_subscription_is_made_and_its_settings_changed(
    conduit: Conduit, api: Api, topic: str, name: str
) -> None:
    api.create_topic(topic)
    api.publish_many(topic, [1, 2, 3])
    settings = ("--order", "strict", "--ack-wait", "2s", "--max-lost", "none")
    made = conduit.ok("subscription", "create", name, topic, "--from", "2", *settings).json
    assert (made["lag"], made["order"], made["ack_wait_ms"]) == (2, "strict", 2000)
    assert made["max_lost"] is None
    changed = conduit.ok("subscription", "update", name, "--max-attempts", "9").json
    assert (changed["max_attempts"], changed["ack_wait_ms"]) == (9, 2000)
    assert conduit.run("subscription", "update", name).code == Exit.USAGE
    assert conduit.run("subscription", "create", name, topic).code == Exit.CONFLICT
    beyond = conduit.ok("subscription", "create", f"{name}.b", topic, "--from", "9")
    assert f"gap: {topic} ends at #3, and #9 was asked for" in beyond.err
    conduit.ok("topic", "purge", topic, "--yes")
    for more in ("--yes", "--dry-run"):
        removed = conduit.ok("subscription", "seek", name, "--to", "2", more)
        told = f"gap: {topic} #2 to #3 cannot be given (removed by retention or a purge)"
        assert told in removed.err


def test_a_topic_is_purged_after_a_question_and_its_numbers_go_on(
    conduit: Conduit, server: RunningServer, api: Api, topic: str
) -> None:
    api.create_topic(topic)
    for _ in range(5):
        api.publish_many(topic, list(range(500)))
    assert conduit.ok("topic", "purge", topic, "--dry-run").out == "would purge 2,500 messages\n"
    refused = conduit.run("topic", "purge", topic)
    assert (refused.code, "--yes" in refused.err) == (Exit.USAGE, True)
    with Terminal(server.url, "topic", "purge", topic, columns=80) as terminal:
        terminal.until(f"Purge topic {topic} of 2,500 messages for good? [y/N]: ")
        terminal.type("y\n")
        code, shown = terminal.end()
    assert (code, "purged 2,500 messages" in shown) == (Exit.OK, True)
    assert conduit.ok("topic", "messages", topic).json == []
    assert "nothing to purge" in conduit.ok("topic", "purge", topic, "--yes").err
    assert api.publish(topic, 1)["seq"] == 2_501


def test_dead_letters_are_counted_by_topic_and_reason(
    conduit: Conduit, server: RunningServer, topic: str
) -> None:
    conduit.ok("topic", "create", topic)
    with WsClient(server.ws_url) as client:
        client.subscribe(topic, subscription=f"{topic}-s")
        for n in range(3):
            conduit.ok("pub", topic, str(n))
            (message,) = client.messages(1)
            reason = "card declined" if n else "no such customer"
            client.request("reject", message_id=message["message_id"], reason=reason)
    until(lambda: len(conduit.ok("dlq", "groups", "--topic", topic).json) == 2)
    found = conduit.ok("dlq", "groups", "--topic", topic).json
    assert [(group["reason"], group["count"]) for group in found] == [
        ("card declined", 2),
        ("no such customer", 1),
    ]
    limited = conduit.ok("dlq", "groups", "--topic", topic, "--limit", "1")
    assert (len(limited.json), "--limit" in limited.err) == (1, True)
    assert conduit.ok("dlq", "groups", "--topic", topic, "--redriven").json == []


def test_a_search_that_is_interrupted_shows_what_it_has_found_and_where_it_was() -> None:
    message = {"message_id": "m", "topic": "t", "seq": 60, "published_at": "-", "payload": 1}
    pages = [{"messages": [message], "next": 50}, {"messages": [], "next": 40, "scanned_to": 41}]
    with answering({"GET /api/topics/t/messages": pages}) as server:
        conduit = Conduit(server.url)
        with conduit.start("topic", "messages", "t", "--contains", "x", "-o", "jsonl") as search:
            until(lambda: len(server.lines) > 3)
            search.signal(signal.SIGINT)
            assert search.line()["seq"] == 60
            assert search.error_line() == "not all, and `--from 40 --newest` goes on\n"
            assert search.wait() == Exit.INTERRUPTED


def test_a_purge_that_is_interrupted_says_how_much_is_gone() -> None:
    step = {"matched_count": 10, "purged_count": 4, "through_seq": 10, "next": "c"}
    with answering({"POST /api/topics/t/purge": step}) as server:
        with Conduit(server.url).start("topic", "purge", "t", "--yes") as purge:
            until(lambda: len(server.lines) > 3)
            purge.signal(signal.SIGINT)
            told = purge.error_line()
            assert told.startswith("purged ")
            assert told.endswith(" messages so far\n")
            assert purge.wait() == Exit.INTERRUPTED
        assert [asked.body.get("cursor") for asked in server.asked[:2]] == [None, "c"]
