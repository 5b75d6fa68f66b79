"""Nodes: what is asked of the server, and what is printed."""

from __future__ import annotations

import json
import socket

import pytest

from conduit.cli.exits import Exit
from tests.cli.terminal import Terminal
from tests.cli.test_access import ok, run
from tests.client.test_nodes import OTHER, RING, ROUTE, THIS
from tests.support.server import running_server

REASON = (
    "it answers with HTTP status 404: it has no /internal/link: its INTERNAL_SECRET is not set, or "
    * 2
)
DOWN = OTHER | {"id": "west-1", "state": "down", "address": "west-1:8080"}


def ages(*ages_s: float | None) -> list[str]:
    """How these are shown."""
    nodes = [OTHER | {"lease_age_s": age_s} for age_s in ages_s]
    result, _ = ok({"GET /api/nodes": {"nodes": nodes, "next": None}}, "node", "ls", "-o", "table")
    return [line.split()[3] for line in result.stdout.splitlines()[1:]]


def test_nodes_are_listed_with_a_star_for_the_one_that_was_asked() -> None:
    page = {"nodes": [OTHER, THIS, DOWN | {"lease_age_s": 250.4}], "next": None}
    result, server = ok({"GET /api/nodes": page}, "node", "ls", "-o", "table")
    assert server.lines == ["GET /api/nodes?limit=100"]
    assert result.stdout.splitlines() == [
        "THIS  ID      STATE  RENEWED  CONNS  SUBS  MSG/S    ADDRESS      VERSION",
        "-     east-1  up     0.3s         -     -  -        east-2:8080  0.1.0",
        "*     east-2  up     0.3s        14     3  1,523.4  east-2:8080  0.1.0",
        "-     west-1  down   4m10s        -     -  -        west-1:8080  0.1.0",
    ]
    result, _ = ok({"GET /api/nodes": page}, "node", "ls")
    assert json.loads(result.stdout)[1] == THIS


def test_a_node_that_is_drained_is_listed_so() -> None:
    nodes = [THIS | {"state": "draining", "phase": phase} for phase in ("lingering", "drained")]
    result, _ = ok({"GET /api/nodes": {"nodes": nodes, "next": None}}, "node", "ls", "-o", "table")
    assert [line.split()[2] for line in result.stdout.splitlines()[1:]] == ["draining", "drained"]


def test_ages_are_as_exact_as_one_wants_them() -> None:
    assert ages(0.0, 2.96, 59.9, 60.0, 125.9, 3_599.0, 3_600.0, 90_000.0, None) == [
        "0.0s",
        "3.0s",
        "59.9s",
        "1m00s",
        "2m05s",
        "59m59s",
        "1h00m",
        "25h00m",
        "-",
    ]


def test_a_node_is_shown_with_what_it_says_of_itself() -> None:
    result, _ = ok({"GET /api/nodes/east-2": THIS}, "node", "get", "east-2", "-o", "table")
    assert "incarnation    01a228b1-e211-704b-a6d2-c456de57377f\n" in result.stdout
    assert "this one       yes\n" in result.stdout
    assert "subscriptions  3\n" in result.stdout
    assert "deliveries/s   18,280.8\n" in result.stdout
    assert "loop lag       1.2 ms\n" in result.stdout
    result, _ = ok({"GET /api/nodes/east-1": OTHER}, "node", "show", "east-1", "-o", "table")
    assert "connections    -\n" in result.stdout
    assert "messages/s     -\n" in result.stdout
    assert "not answered   there is no link to node east-1\n" in result.stdout


def test_the_links_of_a_node_are_a_table_below_it() -> None:
    up = {"id": "east-1", "state": "up", "for_s": 7_500.0, "round_trip_s": 0.00041}
    lost = {"id": "west-1", "state": "dialing", "for_s": 4.2, "round_trip_s": None}
    links = [
        up | {"queue_bytes": 2_048, "last_error": None},
        lost | {"queue_bytes": 0, "last_error": REASON},
    ]
    node = THIS | {"links": links}
    result, _ = ok({"GET /api/nodes/east-2": node}, "node", "get", "east-2", "-o", "table")
    assert result.stdout.splitlines()[-6:] == [
        "",
        "LINK TO  STATE    FOR    ROUND TRIP  QUEUED",
        "east-1   up       2h05m  0.4 ms      2.0 KiB",
        "west-1   dialing  4.2s   -           0 B",
        "",
        f"last error with west-1: {REASON}",
    ]
    result, _ = ok({"GET /api/nodes/east-2": node}, "node", "get", "east-2")
    assert json.loads(result.stdout) == node


def test_a_node_is_drained_and_serves_again() -> None:
    drained = {
        "id": "east-1",
        "state": "draining",
        "phase": "alone",
        "connections": 14,
        "owned_subscriptions": 3,
        "problem": "no other node is up",
    }
    path = "/api/nodes/east-1/drain"
    result, server = ok({f"POST {path}": drained}, "node", "drain", "east-1", "-o", "table")
    assert server.lines == [f"POST {path}"]
    assert result.stdout.splitlines() == [
        "id             east-1",
        "state          draining",
        "phase          alone",
        "connections    14",
        "subscriptions  3",
        "problem        no other node is up",
    ]
    result, server = ok({f"DELETE {path}": drained}, "node", "undrain", "east-1")
    assert (server.lines, json.loads(result.stdout)) == ([f"DELETE {path}"], drained)
    refusal = (409, {"code": "conflict", "detail": "this server has its log for itself"})
    result, _ = run({f"POST {path}": refusal}, "node", "drain", "east-1")
    assert result.exit_code != Exit.OK
    assert "has its log for itself" in result.stderr


def test_a_node_that_is_not_known_has_an_exit_code_and_a_hint() -> None:
    refusal = (404, {"code": "node_not_found", "detail": "no"})
    result, _ = run({"GET /api/nodes/x": refusal}, "node", "get", "x")
    assert result.exit_code == Exit.NOT_FOUND
    assert "conduit node ls" in result.stderr


def test_a_route_is_the_node_of_a_subscription_and_a_table_of_those_that_are_told() -> None:
    asked = ("node", "route", "--subscription", "s", "--topic", "t")
    result, server = ok({"GET /api/route": ROUTE}, *asked, "-o", "table")
    assert server.lines == ["GET /api/route?subscription=s&topic=t"]
    assert result.stdout.splitlines() == [
        "subscription  s",
        "exists        yes",
        "node          east-1",
        "why not       -",
        "topic         t",
        "topic exists  yes",
        "told by       redis",
        "",
        "NODE    SUBSCRIBERS",
        "east-1            -",
        "east-2            3",
    ]
    result, _ = ok({"GET /api/route": ROUTE}, *asked)
    assert json.loads(result.stdout) == ROUTE


def test_what_is_not_asked_for_is_not_shown_and_something_has_to_be() -> None:
    nobody = ROUTE | {"subscription": {**ROUTE["subscription"], "node": None, "reason": "why"}}
    result, _ = ok(
        {"GET /api/route": nobody | {"topic": None}},
        *("node", "route", "--subscription", "s", "-o", "table"),
    )
    assert "why not       why\n" in result.stdout
    assert "topic" not in result.stdout
    result, _ = run({}, "node", "route")
    assert result.exit_code == Exit.USAGE
    assert "--subscription" in result.stderr


def test_the_ring_is_a_table_of_shares() -> None:
    result, server = ok({"GET /api/ring": RING}, "node", "ring", "-o", "table")
    assert server.lines == ["GET /api/ring"]
    assert result.stdout.splitlines() == [
        "ID      SHARE  PLACES",
        "east-1  25.0%       1",
        "east-2  75.0%       2",
    ]
    result, _ = ok({"GET /api/ring": RING}, "node", "ring")
    assert json.loads(result.stdout) == RING
    none = RING | {"nodes": [], "places": [], "reason": "each node has its own"}
    result, _ = ok({"GET /api/ring": none}, "node", "ring", "-o", "table")
    assert result.stdout == "each node has its own\n"


def test_stats_name_the_nodes_that_they_are_of() -> None:
    figures = {"total_messages": 3, "unanswered_count": 1, "nodes": ["a", "b"], "unanswered": ["c"]}
    result, server = ok({"GET /api/stats": figures}, "stats", "-o", "table")
    assert server.lines == ["GET /api/stats"]
    assert result.stdout.splitlines() == [
        "total messages  3",
        "nodes           a b",
        "unanswered      c",
    ]
    of_tenant = {"total_messages": 3, "unanswered_count": 1}
    result, server = ok({"GET /api/stats": of_tenant}, "stats", "--node", "a", "-o", "table")
    assert server.lines == ["GET /api/stats?node=a"]
    assert "unanswered count  1\n" in result.stdout


@pytest.mark.e2e
@pytest.mark.parametrize("columns", [80, 200])
def test_the_list_fits_a_terminal_with_names_as_kubernetes_gives(columns: int) -> None:
    name, address = "conduit-0", "conduit-0.conduit.default.svc:8080"
    with (
        running_server(NODE_ID=name, NODE_ADDR=address) as server,
        Terminal(server.url, "node", "ls", columns=columns, NO_COLOR="1") as terminal,
    ):
        code, shown = terminal.end()
    lines = shown.splitlines()
    assert code == Exit.OK
    assert max(map(len, lines)) <= columns
    # In a narrow one the last columns are in a line below.
    heading, row = (" ".join(part) for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :]))
    assert row.split() == ["*", name, "up", "-", "1", "0", "0.0", address, "0.1.0"]
    assert heading.split()[-1] == "VERSION"


@pytest.mark.e2e
def test_a_server_without_a_name_is_called_as_its_machine() -> None:
    with running_server() as server, Terminal(server.url, "node", "ls") as terminal:
        _, shown = terminal.end()
    assert socket.gethostname() in shown
