"""What `conduit doctor` makes of what a server has said; nothing is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import msgspec
import pytest

from conduit.cli.checks.asked import NODES_MAX_COUNT, Answered
from conduit.cli.checks.served import judge
from conduit.cli.checks.shown import lines
from conduit.client import ApiError, BadAnswer, ConnectionFailed, Node, WhoAmI
from conduit.errors import ConduitError
from conduit.grants import Grant
from conduit.limits import TenantLimits
from tests.cli.test_doctor import of, statuses

NOW = datetime(2026, 12, 1, tzinfo=UTC)
HEALTH = {
    "status": "ok",
    "version": "0.1.0",
    "node_id": "n1",
    "ready": True,
    "store": {"kind": "sqlite", "durable": True, "disk_free_bytes": 10**11},
    "auth": {"enabled": True},
}
WHO = WhoAmI("default", "key:abcdefgh", "abcdefgh", [Grant(scope="admin")], None, TenantLimits())
ATTENTION = {
    "subscriptions": [],
    "counts": {},
    "quotas": [],
    "dead_letters": 0,
    "dead_letters_by_tenant": [],
    "is_fresh": True,
    "age_s": 1.0,
}


def node(name: str = "n1", **changed: Any) -> Node:
    whole: dict[str, Any] = {
        "id": name,
        "incarnation": "i",
        "address": f"{name}:8080",
        "version": "0.1.0",
        "state": "up",
        "lease_age_s": 0.5,
        "started_at": "2026-11-30T00:00:00Z",
        "is_this": name == "n1",
        "connections": 1,
        "owned_subscriptions": 0,
        "rates": None,
        "links": [],
        "loop_lag_s": 0.001,
    }
    return Node(**{**whole, **changed})


def answered(**changed: Any) -> Answered:
    whole: dict[str, Any] = {
        "url": "https://events.example",
        "health": HEALTH,
        "ready": None,
        "who": WHO,
        "skew_s": 0.0,
        "took_s": 0.01,
        "stats": {"unanswered_count": 0},
        "history": {"samples": [{"messages_per_sec": 5.0, "publish_p99_ms": 8.0}]},
        "attention": ATTENTION,
        "nodes": [node()],
        "certificate": NOW + timedelta(days=60),
        "version": "0.1.0",
    }
    return Answered(**{**whole, **changed})


def bad(**changed: Any) -> list[tuple[str, str]]:
    return [each for each in statuses(judge(answered(**changed), NOW)) if each[1] != "ok"]


def test_where_all_is_well_all_is_ok() -> None:
    assert bad() == []


def test_who_asks_nobody_for_a_key_on_this_machine_alone_is_well() -> None:
    auth = {"enabled": False, "open_to": "loopback", "pages": "named"}
    here: dict[str, Any] = {"url": "http://127.0.0.1:8080", "certificate": None}
    assert bad(**here, health={**HEALTH, "auth": auth}) == []
    anybody = {**auth, "pages": "any"}
    assert bad(**here, health={**HEALTH, "auth": anybody}) == [("browsers", "warning")]


def test_how_exact_a_clock_is_is_not_said_better_than_it_is_known() -> None:
    (clock,) = [each for each in judge(answered(skew_s=0.95), NOW) if each.check == "clock"]
    assert clock.seen.startswith("within 1.0 s")


FORBIDDEN: ConduitError = ApiError("no", code="forbidden", status=403)
UNKNOWN: ConduitError = ApiError("no", code="unauthenticated", status=401)


def test_what_a_key_may_not_see_is_never_called_good() -> None:
    found = judge(
        answered(
            health={"status": "ok"},
            nodes=FORBIDDEN,
            attention=FORBIDDEN,
            history=FORBIDDEN,
            stats=FORBIDDEN,
        ),
        NOW,
    )
    for check in ("version", "store", "store latency", "nodes", "subscriptions", "dead letters"):
        (one,) = [each for each in found if each.check == check]
        assert (one.status, one.seen.startswith("needs ")) == ("not looked at", True), one


def test_without_a_key_that_is_said_and_the_rest_is_not_looked_at() -> None:
    refused = dict.fromkeys(("who", "nodes", "attention", "history", "stats"), UNKNOWN)
    found = judge(answered(health={"status": "ok"}, skew_s=None, **refused), NOW)
    assert of(found, "key") == ["warning"]
    wrong = judge(answered(health={"status": "ok"}, skew_s=None, has_key=True, **refused), NOW)
    assert of(wrong, "key") == ["failure"]
    assert of(found, "clock") == ["not looked at"]
    assert not [each for each in found if each.check == "nodes" and each.status == "ok"]


def test_a_server_that_does_not_answer_is_one_failure() -> None:
    gone = ConnectionFailed("no answer")
    assert bad(health=gone, certificate=None) == [
        ("server", "failure"),
        ("all else", "not looked at"),
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"health": {**HEALTH, "ready": False, "not_ready": {"code": "draining", "detail": "d"}}},
         [("ready", "failure")]),
        ({"health": {**HEALTH, "store": {"kind": "memory", "durable": False}}},
         [("store", "warning")]),
        ({"health": {**HEALTH, "store": {"kind": "sqlite", "durable": True, "disk_free_bytes": 1}}},
         [("disk", "failure")]),
        ({"health": {**HEALTH, "auth": {"enabled": False, "open_to": "network"}}},
         [("authentication", "failure")]),
        # Through a proxy on the server's machine.
        ({"health": {**HEALTH, "auth": {"enabled": False, "open_to": "loopback"}}},
         [("authentication", "failure")]),
        ({"health": {k: v for k, v in HEALTH.items() if k != "auth"},
          "who": msgspec.structs.replace(WHO, actor="anonymous")},
         [("authentication", "failure")]),
        ({"who": msgspec.structs.replace(WHO, actor="anonymous")},
         [("authentication", "failure")]),
        ({"health": {**HEALTH, "auth": {"enabled": False}}, "url": "http://127.0.0.1:8080",
          "certificate": None}, [("authentication", "not looked at")]),
        ({"health": {k: v for k, v in HEALTH.items() if k != "auth"}, "certificate": None,
          "url": "http://localhost", "who": msgspec.structs.replace(WHO, actor="anonymous")},
         [("authentication", "not looked at")]),
        ({"ready": ApiError("no", code="draining", status=503)}, [("ready", "failure")]),
        ({"health": {**HEALTH, "ready": False}}, [("ready", "failure")]),
        ({"health": {**HEALTH, "store": {"kind": "postgresql", "durable": "no"}}},
         [("store", "warning")]),
        ({"health": {**HEALTH, "store": {"kind": "sqlite", "durable": True}}},
         [("disk", "not looked at")]),
        ({"history": {"samples": []}}, [("store latency", "not looked at")]),
        ({"history": {"samples": [{"messages_per_sec": 0.0, "publish_p99_ms": None}]}},
         [("store latency", "not looked at")]),
        ({"history": {"samples": [{"messages_per_sec": 5.0, "publish_p99_ms": 8.0}],
                      "unanswered_count": 1}}, [("store latency", "not looked at")]),
        ({"nodes": []}, [("nodes", "not looked at")]),
        ({"nodes": [node(f"n{number}") for number in range(NODES_MAX_COUNT + 1)]},
         [("nodes", "not looked at")]),
        ({"nodes": [node(version="")]}, [("versions", "not looked at")]),
        ({"nodes": [node(), node("n2", loop_lag_s=None)]}, [("loop lag", "not looked at")]),
        ({"nodes": [node(lease_age_s=2.5), node("n2", lease_age_s=None)]},
         [("leases", "warning"), ("leases", "not looked at")]),
        ({"attention": {k: v for k, v in ATTENTION.items() if k != "is_fresh"}},
         [("subscriptions", "not looked at")]),
        ({"attention": {**ATTENTION, "unanswered_count": 2}},
         [("subscriptions", "not looked at")]),
        ({"nodes": [node(), node("n2", lease_age_s=None)]}, [("leases", "not looked at")]),
        ({"attention": {"is_fresh": True}},
         [("subscriptions", "not looked at"), ("dead letters", "not looked at")]),
        ({"stats": BadAnswer("no")}, [("server", "failure")]),
        ({"version": "0.2.0"}, [("server", "warning")]),
        ({"url": "http://events.example", "certificate": None}, [("TLS", "warning")]),
        ({"certificate": NOW + timedelta(days=3)}, [("certificate", "warning")]),
        ({"history": {"samples": [{"messages_per_sec": 5.0, "publish_p99_ms": 900.0}]}},
         [("store latency", "warning")]),
        ({"history": {"samples": [{"messages_per_sec": 5.0, "publish_p99_ms": None}]}},
         [("store latency", "not looked at")]),
        ({"skew_s": 5.0}, [("clock", "warning")]),
        ({"nodes": [node(), node("n2", state="down", lease_age_s=90.0)]}, [("nodes", "failure")]),
        ({"nodes": [node(), node("n2", state="draining")]}, [("nodes", "warning")]),
        ({"nodes": [node(), node("n2", unanswered="no link")]}, [("nodes", "warning")]),
        ({"nodes": [node(), node("n2", version="0.2.0")]}, [("versions", "warning")]),
        ({"nodes": [node(), node("n2", lease_age_s=2.5)]}, [("leases", "warning")]),
        ({"nodes": [node(loop_lag_s=0.3)]}, [("loop lag", "warning")]),
        ({"nodes": [node(loop_lag_s=3.0)]}, [("loop lag", "failure")]),
        ({"health": {**HEALTH, "cluster": {"nodes": 3, "links": 1, "detail": "x"}}},
         [("links", "warning")]),
        ({"health": {**HEALTH, "cluster": {"nodes": 1, "registry": {"status": "degraded"}}}},
         [("registry", "warning")]),
        ({"attention": {**ATTENTION, "dead_letters": 3}}, [("dead letters", "warning")]),
        ({"attention": {**ATTENTION, "is_fresh": False}}, [("subscriptions", "not looked at")]),
        ({"attention": {**ATTENTION, "quotas": [
            {"tenant": "a", "limit": "topics", "used": 99, "max": 100}]}},
         [("limits", "failure")]),
        ({"who": msgspec.structs.replace(WHO, expires_at="2026-12-03T00:00:00Z")},
         [("key", "warning")]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_server_is_one_line(
    changed: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert bad(**changed) == expected


@pytest.mark.parametrize(
    ("skew_s", "said"), [(40.0, "40.0 s behind that"), (-40.0, "40.0 s ahead of that")]
)
def test_whose_clock_is_ahead_is_said(skew_s: float, said: str) -> None:
    (one,) = [each for each in judge(answered(skew_s=skew_s), NOW) if each.check == "clock"]
    assert one.seen == f"this machine's clock is {said} of the server"


def test_of_nodes_only_those_that_serve_are_called_up() -> None:
    some = [node("n2", state="draining"), node("n3", unanswered="no link")]
    assert of(judge(answered(nodes=[node(), *some]), NOW), "nodes") == ["warning", "warning", "ok"]
    assert of(judge(answered(nodes=some), NOW), "nodes") == ["warning", "warning"]


def test_how_long_publishes_take_is_said_of_what_is_known() -> None:
    (one,) = [each for each in judge(answered(), NOW) if each.check == "store latency"]
    assert one.seen.endswith("the worst 5 s of the last 5s)")


def test_subscriptions_in_trouble_are_named_a_few_of_each() -> None:
    some = [
        {"tenant": "default", "name": f"s{number}", "trouble": "absent", "lag": 7}
        for number in range(9)
    ]
    attention = {**ATTENTION, "subscriptions": some, "counts": {"absent": 100, "full": 1}}
    found = [each for each in judge(answered(attention=attention), NOW) if "s0" in each.seen]
    assert found[0].seen.endswith("s4 (7 messages), and 95 more")
    assert bad(attention=attention) == [("subscriptions", "warning"), ("subscriptions", "failure")]


# For people ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    found = judge(answered(nodes=[node(), node("n2", state="down", lease_age_s=90.0)]), NOW)
    told = [click.unstyle(line) for line in lines({"The server": found}, width)]
    assert max(map(len, told)) <= width
    assert told[-1].startswith("1 failed, ")
