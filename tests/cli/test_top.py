"""The pictures of `conduit top`: drawn of what a server might say."""

from __future__ import annotations

from typing import Any

import pytest

from conduit.cli.watch.asking import Asking, Seen, requests_per_min
from conduit.cli.watch.frame import How, frame, share, texts
from conduit.cli.watch.grid import Column, grid, plain
from conduit.cli.watch.live import stepped
from conduit.cli.width import columns
from conduit.client import AsyncConduit, BadAnswer
from tests.cli.answering import answering
from tests.cli.test_doctor_server import node

NOW = 1_796_000_000.0
STATS = {
    "messages_per_sec": 1523.4,
    "deliveries_per_sec": 18280.8,
    "acks_per_sec": 18279.1,
    "redeliveries_per_sec": 0.2,
    "backlog": 37,
    "connections": 14,
    "uptime_seconds": 7500.0,
    "unanswered_count": 0,
    "nodes": ["n1"],
    "unanswered": [],
}


def troubled(name: str, trouble: str = "absent", lag: int = 5) -> dict[str, Any]:
    return {
        "tenant": "default",
        "name": name,
        "trouble": trouble,
        "lag": lag,
        "grown_count": 9,
        "grown_in_s": 70.0,
        "subscriber_count": 0,
        "pending_retry_count": 0,
    }


def topic(name: str, rate: float = 1.0, backlog: int = 0) -> dict[str, Any]:
    return {
        "tenant": "default",
        "name": name,
        "messages_per_sec": rate,
        "deliveries_per_sec": rate,
        "backlog": backlog,
        "more_backlog": False,
    }


def full(**changed: Any) -> Seen:
    whole: dict[str, Any] = {
        "stats": STATS,
        "nodes": [node(), node("n2"), node("n3", state="down", lease_age_s=90.0)],
        "history": {"samples": [{"publish_p50_ms": 2.3, "publish_p99_ms": 8.4}]},
        "attention": {"subscriptions": [troubled(f"s{n}") for n in range(20)], "dead_letters": 3},
        "topics": {"topics": [topic(f"t{n}", n) for n in range(30)]},
        "at": NOW,
    }
    return Seen(**{**whole, **changed})


def drawn(seen: Seen, width: int = 80, height: int | None = 24, **changed: Any) -> list[str]:
    how = How("http://127.0.0.1:8080", width, height, 2.0, "activity", False, 84.0)
    return texts(frame(seen, how._replace(**changed), NOW))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 10), (20, 4), (500, 100)])
def test_a_picture_has_the_size_of_the_terminal(width: int, height: int) -> None:
    for seen in (full(), Seen(), full(topics=None, nodes=None, attention=None)):
        lines = drawn(seen, width, height)
        assert len(lines) == height
        assert max(map(columns, lines)) <= width


def test_at_80_columns_and_24_lines_all_tables_have_rows_and_the_keys_are_there() -> None:
    lines = drawn(full())
    shown = "\n".join(lines)
    assert "3 of 3" not in shown
    assert "SUBSCRIPTIONS THAT NEED A LOOK  3 of 20" in shown
    assert "BUSIEST TOPICS (last minute)  2 of 30" in shown
    assert "p50 2.3 ms  p99 8.4 ms" in shown
    assert "2 nodes up  1 DOWN" in lines[0]
    assert lines[-1].startswith("q quit")


def test_names_with_control_characters_or_of_great_width_do_not_reach_the_terminal_as_they_are() -> (
    None
):
    hostile = "\x1b[2J\x07evil\r\n" + "名" * 100
    seen = full(
        nodes=[node(hostile)],
        attention={"subscriptions": [troubled(hostile, trouble=hostile)], "dead_letters": 0},
        topics={"topics": [topic(hostile)]},
    )
    lines = drawn(seen)
    assert max(map(columns, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    away = full(away_since=NOW, away_why=hostile, refused={"stats": hostile})
    assert all(line.isprintable() for line in drawn(away))


def test_a_server_that_is_away_is_said_with_since_when_and_what_was_known_stays() -> None:
    lines = drawn(full(away_since=NOW - 75.0, away_why="refused"))
    assert "(1m15s), figures are from before: refused" in lines[1]
    assert "1,523.4/s" in lines[3]


def test_a_pause_says_how_old_the_figures_are() -> None:
    assert drawn(full(at=NOW - 30.0), is_paused=True)[1] == "PAUSED, figures are 30s old"


def test_what_the_key_may_not_see_is_said() -> None:
    lines = drawn(full(nodes=None, refused={"nodes": "no"}))
    assert lines[lines.index("NODES") + 1] == "not looked at: needs admin"


def test_rows_are_sorted_and_a_node_that_is_down_comes_first() -> None:
    seen = full(topics={"topics": [topic("a", 1.0, 7), topic("b", 9.0), topic("c", 5.0, 3)]})

    def names(sort: str) -> list[str]:
        lines = drawn(seen, 200, 60, sort=sort)
        at = next(n for n, line in enumerate(lines) if line.startswith("TOPIC "))
        return [line.split()[0] for line in lines[at + 1 : at + 4]]

    assert (names("activity"), names("backlog"), names("name")) == (
        ["b", "c", "a"],
        ["a", "c", "b"],
        ["a", "b", "c"],
    )
    lines = drawn(seen, 200, 60, sort="name")
    assert lines[lines.index("NODES") + 2].startswith("n3 ")


def test_rows_are_shared_so_that_none_takes_what_another_needs() -> None:
    assert share(12, [3, 20, 30]) == [3, 5, 4]
    assert share(2, [3, 20, 30]) == [1, 1, 0]
    assert share(-5, [3]) == [0]
    assert share(100, [3, 1]) == [3, 1]


def test_of_a_table_that_is_too_wide_the_name_is_cut_and_the_last_columns_go() -> None:
    heads = [Column("NAME", is_figure=False), Column("A"), Column("B")]
    row = [("x" * 40, ""), ("12345", ""), ("67890", "")]
    assert plain(grid(heads, [row], 30)[1]) == "x" * 15 + "…  12345  67890"
    assert plain(grid(heads, [row], 20)[1]) == "x" * 12 + "…  12345"


def test_an_interval_grows_and_shrinks_within_its_bounds() -> None:
    assert [stepped(2.0, 1), stepped(60.0, 1), stepped(2.0, -1), stepped(0.5, -1)] == [
        5,
        60,
        1,
        0.5,
    ]


async def test_a_look_asks_no_more_often_than_the_dashboard_and_a_refusal_is_not_asked_again() -> (
    None
):
    answers = {
        "GET /api/stats": STATS,
        "GET /api/nodes": (403, {"code": "forbidden", "detail": "needs admin"}),
        "GET /api/stats/history": {"samples": []},
        "GET /api/stats/attention": {"subscriptions": []},
        "GET /api/stats/topics": {"topics": []},
    }
    clock = [NOW]
    with answering(answers) as server:
        async with AsyncConduit(server.url) as client:
            asking = Asking(client, lambda: clock[0], lambda: clock[0])
            for _ in range(30):
                await asking.look()
                clock[0] += 2.0
    counts = {line: sum(one.startswith(f"{line}") for one in server.lines) for line in answers}
    assert counts["GET /api/stats/history"] == 10
    assert counts["GET /api/stats/attention"] == counts["GET /api/stats/topics"] == 6
    assert counts["GET /api/nodes"] == 1
    assert asking.seen.refused == {"nodes": "needs admin"}
    assert asking.seen.away_since is None
    assert requests_per_min(2.0) == 84


@pytest.mark.parametrize(
    "odd",
    [
        {"stats": {"uptime_seconds": [1]}},
        {"nodes": [3]},
        {"topics": {"topics": "x"}},
        {"history": {"samples": 3}},
        {"attention": {"subscriptions": 7}},
        {"stats": [1]},
    ],
)
def test_what_cannot_be_drawn_is_an_answer_that_cannot_be_read(odd: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="is that Conduit, and of this command's version"):
        drawn(full(**odd))


async def test_a_server_that_goes_away_and_comes_back_is_followed() -> None:
    gone = (502, None)
    answers = {"GET /api/stats": [STATS, gone, gone, STATS]}
    clock = [NOW]
    with answering(answers) as server:
        async with AsyncConduit(server.url) as client:
            asking = Asking(client, lambda: clock[0], lambda: clock[0])
            since = []
            for _ in range(4):
                await asking.look()
                since.append(asking.seen.away_since)
                clock[0] += 2.0
    assert since == [None, NOW + 2.0, NOW + 2.0, None]
    assert asking.seen.stats == STATS
