"""`conduit bench` beside a real server. Whether a run is valid depends on the machine, and is not asked."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from conduit.load.histogram import Latencies
from tests.cli.command import Conduit
from tests.support.http import Api

pytestmark = pytest.mark.e2e

SHORT = ("--rate", "100", "--duration", "500ms", "--warmup", "100ms")
# 9: other processes had the cores of the generator.
ENDED_WELL = (0, 9)


def own_topics(api: Api) -> list[str]:
    topics = api.get("/api/topics").json["topics"]
    return [topic["name"] for topic in topics if topic["name"].startswith("bench.")]


def test_everything_is_verified_and_nothing_is_left(conduit: Conduit, api: Api, tmp_path: Path):
    done = conduit.run("bench", "e2e", *SHORT, "--subscribers", "3", "-o", "json")
    assert done.code in ENDED_WELL, done
    told = done.json
    assert told["schema"] == "conduit.bench/v1"
    assert told["verdict"] in ("valid", "invalid")
    assert (done.code == 9) is (told["verdict"] == "invalid")
    assert told["checks"] == {
        "expected": 180,
        "seen": 180,
        "lost": 0,
        "duplicates": 0,
        "out_of_order": 0,
        "unverified": 0,
    }
    assert told["conditions"]["store"]["durable"] is True
    assert told["conditions"]["server_version"] == told["conditions"]["client_version"]
    assert told["work"]["loop"] == "open"
    histogram = Latencies(told["latencies"]["received"])
    assert histogram.count == 150
    assert histogram.percentile_ms(0.5) == pytest.approx(
        told["figures"]["received_p50_ms"], abs=0.001
    )
    assert "open loop 100/s · 256 B" in done.err
    assert own_topics(api) == []
    before = tmp_path / "before.json"
    before.write_text(done.out)
    again = conduit.run(
        *("bench", "e2e", *SHORT, "--subscribers", "3", "-o", "table"),
        *("--compare", str(before), "--slo", "p99<1us,loss=0"),
    )
    assert again.code == 9
    assert "SLO missed p99<1us" in again.out
    assert "loss" not in again.out.partition("SLO missed")[2]
    assert "RATIO" in again.out


def test_a_durable_subscription_is_shared_and_gone_afterwards(
    conduit: Conduit, api: Api, name: str, topic: str
):
    conduit.ok("topic", "create", topic)
    args = ("bench", "e2e", *SHORT, "--subscribers", "2", "--subscription", name)
    done = conduit.run(*args, "--topic", topic, "-o", "json")
    assert done.code in ENDED_WELL, done
    assert (done.json["checks"]["seen"], done.json["checks"]["lost"]) == (60, 0)
    assert api.get(f"/api/subscriptions/{name}").status == 404
    assert api.get(f"/api/topics/{topic}").json["last_seq"] == 60
    read = conduit.run("bench", "sub", topic, "--subscribers", "2", "-o", "json")
    assert read.code in ENDED_WELL, read
    assert (read.json["checks"]["expected"], read.json["checks"]["seen"]) == (120, 120)
    some = conduit.run("bench", "sub", topic, "--max-messages", "10", "-o", "json")
    assert (some.json["checks"]["expected"], some.json["work"]["messages"]) == (10, 10)
    conduit.ok("subscription", "create", name, topic)
    refused = conduit.run(*args, "--topic", topic)
    assert (refused.code, "subscription_exists" in refused.err) == (5, True)


def test_what_is_published_to_a_topic_that_has_others_is_read_back(
    conduit: Conduit, api: Api, topic: str, tmp_path: Path
):
    conduit.ok("topic", "create", topic)
    conduit.ok("pub", topic, '{"n":1,"from":1,"due":1,"run":"x"}')
    done = conduit.run("bench", "pub", *SHORT, "--topic", topic, "-o", "json")
    assert done.code in ENDED_WELL, done
    assert (done.json["checks"]["expected"], done.json["checks"]["seen"]) == (60, 60)
    assert api.get(f"/api/topics/{topic}").json["last_seq"] == 61
    before = tmp_path / "before.json"
    before.write_text(conduit.run("bench", "sub", topic, "-o", "json").out)
    conduit.ok("pub", topic, "1")
    near = conduit.run("bench", "sub", topic, "-o", "json", "--compare", str(before))
    assert (near.code in ENDED_WELL, bool(near.json["compared"])) == (True, True)
    assert "messages was 61, and is 62" in near.err


def test_ctrl_c_ends_it_with_what_was_measured(conduit: Conduit, api: Api):
    args = ("bench", "fanout", "--subscribers", "5", "--rate", "100", "--warmup", "0s")
    with conduit.start(*args, "--duration", "60s", "-o", "jsonl") as running:
        while "open loop" not in running.error_line():
            continue
        while not any(topic["last_seq"] for topic in _topics(api)):
            continue
        running.signal(signal.SIGINT)
        told = running.line()
        assert running.wait() == 130
    assert told["cut_short"] is True
    assert told["checks"]["seen"] == told["checks"]["expected"] > 0
    assert own_topics(api) == []


def _topics(api: Api) -> list[dict[str, int]]:
    found = api.get("/api/topics").json["topics"]
    return [topic for topic in found if topic["name"].startswith("bench.")]


def test_a_publish_that_is_refused_for_good_is_an_error_with_its_code(conduit: Conduit, api: Api):
    done = conduit.run("bench", "pub", "--rate", "20", "--size", "1MiB", "--duration", "500ms")
    assert (done.code, "payload_too_large" in done.err) == (6, True), done
    assert own_topics(api) == []


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("pub", "--url", "http://example.com"), 2, "--allow-remote"),
        (("pub", "--url", "http://127.0.0.1:9"), 7, "connection_failed"),
        (("pub", "--topic", "nowhere"), 3, "topic_not_found"),
        (("sub", "nowhere"), 3, "topic_not_found"),
        (("pub", "--rate", "0"), 2, "nor max"),
        (("pub", "--compare", "nowhere.json"), 2, "nowhere.json cannot be read: No such file"),
    ],
)
def test_what_cannot_be_measured_is_told(conduit: Conduit, args, code, said):
    done = conduit.run("bench", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
