from __future__ import annotations

import time
from pathlib import Path

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit
from tests.support.http import Api
from tests.support.server import RunningServer, free_port
from tests.support.wait import until
from tests.support.ws import WsClient

pytestmark = pytest.mark.e2e

BIG = '{"big":9007199254740993,"small":0.1000}'


# Topics ---------------------------------------------------------------------------------------------


def test_the_life_of_a_topic(conduit: Conduit, topic: str) -> None:
    made = conduit.ok("topic", "create", topic, "--max-age", "1h", "--max-messages", "5").json
    assert made["retention"]["max_age_s"] == 3600
    assert made["retention"]["max_messages"] == 5
    assert [found["name"] for found in conduit.ok("topic", "ls", "--q", topic).json] == [topic]
    assert conduit.ok("topic", "get", topic).json == made
    assert topic in conduit.ok("topic", "ls", "-o", "table").out
    assert conduit.run("topic", "create", topic).code == Exit.CONFLICT
    refused = conduit.run("topic", "rm", topic)
    assert refused.code == Exit.USAGE
    assert "--yes" in refused.err
    assert conduit.ok("topic", "rm", topic, "--yes").out == ""
    bounds = ("--max-age", "none", "--max-messages", "none", "--max-bytes", "1.5GB")
    kept = conduit.ok("topic", "create", topic, *bounds).json["retention"]
    assert kept == {"max_age_s": None, "max_messages": None, "max_bytes": 1_500_000_000}
    conduit.ok("topic", "rm", topic, "--yes")
    missing = conduit.run("topic", "get", topic)
    assert missing.code == Exit.NOT_FOUND
    assert missing.out == ""
    assert missing.err.splitlines()[0].endswith("(code topic_not_found)")


def test_a_list_says_when_there_is_more(conduit: Conduit, api: Api, topic: str) -> None:
    for number in range(3):
        api.create_topic(f"{topic}.{number}")
    done = conduit.ok("topic", "ls", "--q", topic, "--limit", "2", "-o", "jsonl")
    assert [found["name"] for found in done.lines] == [f"{topic}.0", f"{topic}.1"]
    assert "--limit" in done.err


# Publishing -----------------------------------------------------------------------------------------


def test_what_is_published_arrives_with_all_its_digits(conduit: Conduit, topic: str) -> None:
    receipt = conduit.ok("pub", topic, BIG, "--create", "--key", "k", "-H", "a=b=c")
    (line,) = receipt.lines
    assert (line["topic"], line["seq"], line["durable"]) == (topic, 1, True)
    received = conduit.ok("sub", topic, "--from", "earliest", "--count", "1")
    (message,) = received.lines
    assert message["message_id"] == line["message_id"]
    assert (message["key"], message["headers"]) == ("k", {"a": "b=c"})
    assert f'"payload":{BIG}' in received.out


def test_an_unknown_topic_is_not_found_and_the_hint_helps(conduit: Conduit, topic: str) -> None:
    done = conduit.run("pub", topic, "1")
    assert done.code == Exit.NOT_FOUND
    assert "--create" in done.err
    conduit.ok("pub", topic, "1", "--create")
    conduit.ok("pub", topic, "1", "--create")


def test_an_idempotency_key_is_used_once(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    first, second = [
        conduit.ok("pub", topic, "1", "--idempotency-key", "only").lines[0] for _ in range(2)
    ]
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["message_id"] == second["message_id"]


def test_lines_are_published_as_they_come(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    with conduit.start("pub", topic, "-") as publisher:
        for number in range(3):
            publisher.write(f"{number}\n")
            assert publisher.line()["seq"] == number + 1


def test_lines_before_a_bad_one_are_published(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    done = conduit.run("pub", topic, "-", stdin="1\n2\nthree\n4\n")
    assert done.code == Exit.USAGE
    assert "line 3 is not JSON" in done.err
    assert "--text" in done.err
    assert [message["payload"] for message in api.browse(topic)] == [1, 2]


def test_a_file_of_text_is_published_in_batches_and_in_order(
    conduit: Conduit, api: Api, topic: str, tmp_path: Path
) -> None:
    api.create_topic(topic)
    lines = [f"line {number}" for number in range(950)]
    (tmp_path / "log").write_text("\n".join(lines))
    done = conduit.ok("pub", topic, "--file", str(tmp_path / "log"), "--text", "--batch", "300")
    assert [receipt["seq"] for receipt in done.lines] == list(range(1, 951))
    assert "950 published" in done.err
    assert [message["payload"] for message in api.browse(topic)] == lines


def test_data_is_repeated_at_a_rate(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    began = time.monotonic()
    done = conduit.ok("pub", topic, "1", "--count", "50", "--rate", "100")
    assert time.monotonic() - began >= 49 / 100
    assert len(done.lines) == 50
    assert "behind schedule" in done.err


def test_what_sub_prints_can_be_published_again(conduit: Conduit, topic: str) -> None:
    conduit.ok("pub", f"{topic}.a", BIG, "--create", "--key", "k")
    conduit.ok("pub", f"{topic}.b", "2", "--create", "-H", "a=b")
    printed = conduit.ok("sub", f"{topic}.*", "--from", "earliest", "--count", "2").out
    done = conduit.ok("pub", "--messages", "--file", "-", stdin=printed)
    assert {receipt["topic"]: receipt["seq"] for receipt in done.lines} == {
        f"{topic}.a": 2,
        f"{topic}.b": 2,
    }
    again = conduit.ok("sub", f"{topic}.a", "--from", "2", "--count", "1")
    assert f'"payload":{BIG},"key":"k"' in again.out


def test_too_large_a_payload_is_over_a_limit(conduit: Conduit, api: Api, topic: str) -> None:
    api.create_topic(topic)
    done = conduit.run("pub", topic, "-", "--text", stdin="x" * 300_000)
    assert done.code == Exit.LIMIT
    assert "code payload_too_large" in done.err


# Subscriptions --------------------------------------------------------------------------------------


def test_the_life_of_a_subscription(conduit: Conduit, api: Api, topic: str, name: str) -> None:
    api.create_topic(topic)
    api.publish_many(topic, list(range(3)))
    conduit.ok("sub", topic, "--subscription", name, "--from", "earliest", "--count", "3")
    (found,) = conduit.ok("subscription", "ls", "--q", name).json
    assert (found["topic"], found["topics"][0]["lag"]) == (topic, 0)
    conduit.ok("subscription", "create", f"{name}-many", ">", "--from", "earliest")
    mine = conduit.ok("subscription", "ls", "--topic", topic, "--q", name).json
    assert [(each["name"], each["topics"][0]["lag"]) for each in mine] == [
        (name, 0),
        (f"{name}-many", 3),
    ]
    told = conduit.ok("subscription", "ls", "--topic", topic, "--q", f"{name}-many", "-o", "table")
    assert told.out.splitlines()[1].split()[4] == "3"
    conduit.ok("subscription", "rm", f"{name}-many", "--yes")
    table = conduit.ok("subscription", "get", name, "-o", "table").out
    assert "max in flight" in table
    assert topic in table
    plan = conduit.ok("subscription", "seek", name, "--to", "2", "--dry-run").json
    assert [(place["topic"], place["floor"], place["lag"]) for place in plan] == [(topic, 1, 2)]
    assert [(move["floor_before"], move["again_count"]) for move in plan] == [(3, 2)]
    table = conduit.ok("subscription", "seek", name, "--to", "2", "--dry-run", "-o", "table")
    assert "would deliver 2 messages again and skip 0" in table.err
    assert conduit.ok("subscription", "subscribers", name).json == []
    beyond = conduit.ok("subscription", "seek", name, "--to", "9", "--dry-run")
    assert (
        f"gap: {topic} ends at #3, and #9 was asked for, which was not published yet" in beyond.err
    )
    beyond = conduit.ok("subscription", "seek", name, "--to", "9", "--dry-run", "-o", "table")
    assert "not published yet" in beyond.out
    assert conduit.run("subscription", "seek", name, "--to", "2").code == Exit.USAGE
    conduit.ok("subscription", "seek", name, "--to", "-1h", "--yes")
    conduit.ok("subscription", "pause", name)
    assert conduit.ok("subscription", "get", name).json["paused"] is True
    conduit.ok("subscription", "resume", name)
    again = conduit.ok("sub", topic, "--subscription", name, "--count", "3")
    assert [message["payload"] for message in again.lines] == [0, 1, 2]
    conduit.ok("subscription", "rm", name, "--yes")
    assert conduit.run("subscription", "get", name).code == Exit.NOT_FOUND


def test_another_topic_under_the_same_name_is_a_conflict(
    conduit: Conduit, api: Api, topic: str, name: str
) -> None:
    api.post("/api/subscriptions", {"name": name, "topic": topic})
    done = conduit.run("sub", f"{topic}.other", "--subscription", name, "--timeout", "5s")
    assert done.code == Exit.CONFLICT
    assert "conduit subscription get" in done.err


# Dead letters ---------------------------------------------------------------------------------------


def test_the_life_of_a_dead_letter(
    conduit: Conduit, server: RunningServer, api: Api, topic: str, name: str
) -> None:
    with WsClient(server.ws_url) as ws:
        ws.subscribe(topic, subscription=name)
        api.publish_many(topic, [{"n": number} for number in range(3)])
        for message in ws.messages(3):
            ws.request("reject", message_id=message["message_id"], reason="no \x1b[31mgood")
    until(lambda: len(api.dead_letters(topic=topic)) == 3)
    letters = conduit.ok("dlq", "ls", "--topic", topic, "-o", "jsonl").lines
    assert [letter["payload"]["n"] for letter in letters] == [2, 1, 0]
    table = conduit.ok("dlq", "ls", "--topic", topic, "-o", "table").out
    assert "no \\x1b[31mgood" in table
    assert "\x1b" not in table
    one = letters[0]["id"]
    assert conduit.ok("dlq", "get", one).json["reason"] == "no \x1b[31mgood"
    assert conduit.ok("dlq", "ls", "--topic", topic, "--from", "-1h", "--to", "-30m").json == []
    assert conduit.ok("dlq", "redrive", one).json["redriven_at"]
    plan = conduit.ok("dlq", "redrive", "--topic", topic, "--dry-run").json
    assert (plan["state"], plan["matched_count"]) == ("dry_run", 2)
    assert conduit.run("dlq", "redrive", "--topic", topic).code == Exit.USAGE
    job = conduit.ok("dlq", "redrive", "--topic", topic, "--rate", "200", "--yes", "--wait").json
    assert (job["state"], job["redriven_count"], job["failed_count"]) == ("done", 2, 0)
    assert conduit.ok("dlq", "job", job["id"]).json["state"] == "done"
    assert conduit.ok("dlq", "jobs").json[0]["id"] == job["id"]
    table = conduit.ok("dlq", "jobs", "-o", "table").out
    assert all(
        word in table for word in (job["id"], "redrive", "done", f"--topic {topic}", "200/s")
    )
    nothing = conduit.ok("dlq", "redrive", "--topic", topic)
    assert (nothing.out, "nothing matches" in nothing.err) == ("", True)
    nothing = conduit.ok("dlq", "redrive", "--topic", topic, "--yes", "-o", "table")
    assert (nothing.out, "nothing matches" in nothing.err) == ("", True)
    job = conduit.ok("dlq", "redrive", "--topic", topic, "--yes").json
    assert (job["state"], job["matched_count"]) == ("done", 0)
    for option, count in (("--redriven", 3), ("--open", 0)):
        assert len(conduit.ok("dlq", "ls", "--topic", topic, option).json) == count
    done = conduit.ok("sub", topic, "--subscription", name, "--count", "3")
    assert sorted(message["payload"]["n"] for message in done.lines) == [0, 1, 2]
    conduit.ok("dlq", "discard", letters[2]["id"], "--yes")
    many = ("dlq", "discard", "--topic", topic)
    assert "nothing matches" in conduit.ok(*many, "--open").err
    plan = conduit.ok(*many, "--dry-run", "-o", "table").out
    assert plan == "would discard 2 dead letters at 1000/s, about 0s\n"
    assert conduit.run(*many).code == Exit.USAGE
    assert "nothing matches" in conduit.ok(*many, "--open", "--yes").err
    job = conduit.ok(*many, "--max", "1", "--yes", "--wait").json
    assert (job["action"], job["state"], job["discarded_count"]) == ("discard", "done", 1)
    # The newest was discarded: of these ids one is left.
    these = ("dlq", "discard", letters[0]["id"], letters[1]["id"], "--yes", "--wait")
    done = conduit.ok(*these)
    assert (done.json["matched_count"], done.json["discarded_count"]) == (1, 1)
    assert "there is no such dead letter: 1 of these ids" in done.err
    assert conduit.ok("dlq", "ls", "--topic", topic).json == []
    assert conduit.run("dlq", "get", one).code == Exit.NOT_FOUND


# The server -----------------------------------------------------------------------------------------


def test_a_healthy_server_passes_the_check(conduit: Conduit) -> None:
    status = conduit.ok("health").json
    assert (status["status"], status["ready"]) == ("ok", True)
    assert status["store"]["kind"] == "sqlite"


def test_stats_are_figures(conduit: Conduit) -> None:
    figures = conduit.ok("stats").json
    assert figures["uptime_seconds"] > 0
    assert "messages per sec" in conduit.ok("stats", "-o", "table").out


@pytest.mark.parametrize(
    "args",
    [("health",), ("stats",), ("topic", "ls"), ("dlq", "get", "x"), ("sub", "t")],
    ids=" ".join,
)
def test_no_server_is_no_connection(args: tuple[str, ...]) -> None:
    done = Conduit(f"http://127.0.0.1:{free_port()}").run(*args)
    assert done.code == Exit.NO_CONNECTION
    assert "code connection_failed" in done.err
    assert "conduit serve" in done.err
