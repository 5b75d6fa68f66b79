"""What operators look at: health, readiness, metrics, OpenAPI, statistics."""

import re

import pytest

from tests.support.http import Api, accepted
from tests.support.server import running_server
from tests.support.wait import DEADLINE_S, until

STORES = ["sqlite"]


def test_health_has_version_node_and_store(api):
    health = accepted(api.get("/health"))
    assert health["status"] == "ok"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", health["version"])
    assert health["node_id"]
    assert health["store"]["kind"] in ("memory", "sqlite")
    assert isinstance(health["store"]["durable"], bool)


def test_a_started_server_is_ready(api):
    assert api.get("/health/ready").status == 200


def test_metrics_are_prometheus_text_and_count_what_happened(api, ws, topic):
    def total(name):
        answer = api.get("/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        lines = [line for line in answer.body.decode().splitlines() if line and line[0] != "#"]
        for line in lines:
            assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? \S+", line), line
        found = [line for line in lines if line.startswith("conduit_") and name in line]
        assert found, f"nothing about {name} in\n" + "\n".join(lines)
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if "_created" not in line)

    published, delivered = total("published"), total("delivered")
    ws.subscribe(topic)
    api.publish_many(topic, [1, 2, 3])
    ws.messages(3)
    assert total("published") >= published + 3
    until(lambda: total("delivered") >= delivered + 3)


@pytest.mark.parametrize("database", ["", "sqlite:///conduit.db"])
def test_a_subscription_has_series_of_its_own(database):
    with running_server(DATABASE_URL=database) as server:
        api = Api(server.url)
        api.create_topic("t")
        accepted(api.post("/api/subscriptions", {"name": "s", "topic": "t"}), 201)
        api.publish_many("t", [1, 2, 3])

        def values():
            text = api.get("/metrics").body.decode()
            found = re.findall(r'^conduit_subscription_(\w+){.*"s".*} (\S+)$', text, re.MULTILINE)
            return {name: float(value) for name, value in found}

        # They are looked at every few seconds, and an age is some time after the message.
        until(lambda: values().get("oldest_unsettled_age_seconds"))
        age = values().pop("oldest_unsettled_age_seconds")
        assert 0 < age < DEADLINE_S
        rest = {name: value for name, value in values().items() if not name.startswith("oldest")}
        assert rest == {
            "lag": 3,
            "subscribers": 0,
            "unattended_lag": 3,
            "in_flight": 0,
            "pending_retries": 0,
            "dead_letters": 0,
        }


def test_openapi_describes_every_path(api):
    document = accepted(api.get("/openapi.json"))
    assert document["openapi"].startswith("3.")
    assert {
        "/api/publish": {"post"},
        "/api/publish/batch": {"post"},
        "/api/topics": {"get", "post"},
        "/api/topics/{name}": {"get", "patch", "delete"},
        "/api/topics/{name}/messages": {"get"},
        "/api/subscriptions": {"get", "post"},
        "/api/subscriptions/{name}": {"get", "patch", "delete"},
        "/api/subscriptions/{name}/seek": {"post"},
        "/api/subscriptions/{name}/pause": {"post"},
        "/api/subscriptions/{name}/resume": {"post"},
        "/api/dlq": {"get"},
        "/api/dlq/redrive": {"post"},
        "/api/stats": {"get"},
        "/api/stats/history": {"get"},
        "/health": {"get"},
        "/health/ready": {"get"},
    }.items() <= {
        path: set(operations) & {"get", "post", "patch", "delete", "put"}
        for path, operations in document["paths"].items()
    }.items()
    templates = [re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]]
    for path in ("/api/messages/{}", "/api/dlq/{}", "/api/dlq/{}/redrive", "/api/dlq/jobs/{}"):
        assert path in templates


def test_the_docs_page_is_served_without_another_host(api):
    answer = api.get("/docs")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_stats_have_rates_and_backlog_and_a_bounded_history(api, ws, topic, name):
    ws.subscribe(topic, subscription=name)
    api.publish_many(topic, [1, 2, 3])
    stats = accepted(api.get("/api/stats"))
    assert {
        "messages_per_sec",
        "total_messages",
        "active_subscribers",
        "active_topics",
        "uptime_seconds",
    } <= stats.keys()
    assert any("backlog" in field for field in stats), stats.keys()
    assert accepted(api.get("/api/stats/history")) is not None


def test_messages_per_sec_rises_with_publishing(api, topic):
    api.create_topic(topic)

    def rate():
        api.publish_many(topic, list(range(100)))
        return accepted(api.get("/api/stats"))["messages_per_sec"] > 0

    until(rate)


def test_every_answer_has_a_request_id_when_it_refuses(api):
    first, second = api.get("/api/topics/none-1"), api.get("/api/topics/none-2")
    assert first.json["request_id"] != second.json["request_id"]
