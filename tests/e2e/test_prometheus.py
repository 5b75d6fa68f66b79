"""What real servers of every kind tell Prometheus, and what Prometheus makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from conduit.server import broker_metrics, cluster_metrics, node_metrics
from conduit.server.measures import Table
from conduit.server.metrics import tables
from conduit.server.registry_metrics import REGISTRY
from conduit.server.tracing import TRACES
from tests.support.http import Api, accepted
from tests.support.nodes import SECRET, has_link, node, owned_by
from tests.support.prometheus import DASHBOARD, RULES, matched, promtool, running_prometheus
from tests.support.redis import RedisServer
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

SHARED = [REGISTRY, cluster_metrics.LINKS]
# Beside what every server has.
OWN: dict[str, list[Table[Any]]] = {
    "sqlite": [broker_metrics.FILE],
    "postgres": [
        *SHARED,
        *(node_metrics.LEASES, node_metrics.DRAINING),
        *(cluster_metrics.HEARING, cluster_metrics.OWNERS, cluster_metrics.GUESTS),
    ],
    "memory": [*SHARED, cluster_metrics.COPIES],
}


@pytest.fixture
def servers(cluster) -> Iterator[dict[str, RunningServer]]:
    """One of each kind: with a file; on PostgreSQL and in memory, each linked with another one."""
    with ExitStack() as stack:
        redis = RedisServer()
        redis.start()
        stack.callback(redis.remove)

        def linked(url: str, database: int) -> RunningServer:
            registry = f"redis://{redis.place}/{database}"
            one, _ = [
                stack.enter_context(running_server(**node(url, name, SECRET), REDIS_URL=registry))
                for name in ("a", "b")
            ]
            until(lambda: has_link(Api(one.url)))
            return one

        yield {
            "sqlite": stack.enter_context(running_server(DATABASE_URL="sqlite:///conduit.db")),
            "postgres": linked(cluster.create_database("told"), 0),
            "memory": linked("", 1),
        }


def scraped(server: RunningServer) -> str:
    """Once it has something to tell."""
    api = Api(server.url)
    api.create_topic("t")
    # Of names it depends on the ring which node tells.
    name = owned_by("a", of=["a", "b"])
    accepted(api.post("/api/subscriptions", {"name": name, "topic": "t"}), 201)
    api.publish("t", 1)

    def told() -> str:
        text = api.get("/metrics").body.decode()
        # Subscriptions are looked at every few seconds.
        return text if f'conduit_subscription_lag{{subscription="{name}"}}' in text else ""

    return until(told)


def test_servers_tell_what_the_docs_say_as_promtool_wants_it_and_with_the_labels_that_rules_ask_for(
    servers,
):
    labels: set[tuple[str, str, str]] = set()
    for kind, server in servers.items():
        text = scraped(server)
        assert promtool("check", "metrics", given=text) == ""
        wanted = [table for table in tables() if table in OWN[kind] or not _is_of_some(table)]
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP conduit")}
        assert names == {measure.full_name for table in wanted for measure in table.measures}, kind
        labels |= {
            (sample.name, *label)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            for label in sample.labels.items()
        }
    for expression in _expressions():
        asked = {each for each in matched(expression) if each[1] not in ("job", "instance")}
        assert asked <= labels, expression


def _is_of_some(table: Table[Any]) -> bool:
    return table is TRACES or any(table == each for own in OWN.values() for each in own)


def _expressions() -> list[str]:
    rules = yaml.safe_load(RULES.read_text())["groups"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for group in rules for rule in group["rules"]] + [
        target["expr"] for panel in panels for target in panel.get("targets", ())
    ]


def test_a_dead_letter_makes_a_real_prometheus_give_the_alarm(tmp_path: Path):
    with (
        running_server() as server,
        running_prometheus(tmp_path, server.port) as prometheus,
        WsClient(server.ws_url) as client,
    ):
        api = Api(server.url)
        client.subscribe("orders", subscription="billing")
        assert until(lambda: prometheus.value("conduit_dead_lettered_total") is not None)
        api.publish("orders", 1)
        client.send({"type": "reject", "message_id": client.receive("message")["message_id"]})

        def firing() -> list[dict[str, Any]]:
            alerts = (prometheus.get("alerts") or {"alerts": []})["alerts"]
            return [each for each in alerts if each["labels"]["alertname"] == "ConduitDeadLetters"]

        alert = until(firing)[0]
        assert alert["state"] == "firing"
        assert alert["annotations"]["summary"].endswith(f"127.0.0.1:{server.port}")
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        # Each was evaluated with what the server tells, and nothing of it was ambiguous.
        assert [
            (rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"
        ] == []
