"""Result lines as `bench.harness` prints them, made up."""

from __future__ import annotations

from typing import Any

CONDITIONS = {
    "date": "2026-01-02",
    "cpu": "a <fast> one",
    "cores": 2,
    "memory_gib": 24,
    "kernel": "6.1",
    "python": "3.11.2",
    "versions": {"conduit-events": "0.1.0", "redis": "7.0.15"},
}
WORK = {"clients": 64, "loop": "closed"}


def line(
    figures: dict[str, float] | None = None,
    *problems: str,
    question: str = "publish",
    case: tuple[str, str] = ("conduit", "memory"),
    work: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One line; invalid if it has problems. `case` is system and store."""
    system, store = case
    return {
        "question": question,
        "system": system,
        "store": store,
        "work": work or WORK,
        "round": 1,
        "figures": figures or {},
        "valid": not problems,
        "problems": list(problems),
        "checks": {"expected": 5, "seen": 5, "lost": 0, "duplicates": 0, "disordered": 0},
        "server_cores": 0.5,
        "load_cores": 0.25,
        "took_s": 2.0,
        "command": f"python -m bench {question}",
        "conditions": CONDITIONS,
        **more,
    }


def lines() -> list[dict[str, Any]]:
    """Two questions: rows with all rounds, with some, and with none that counts."""
    redis = ("redis", "memory")
    none, each = ({"subscribers": 10, "acks": acks} for acks in ("none", "each | every"))
    return [
        line({"messages_per_s": 100, "p50_ms": 1.0, "p99_ms": 5.0}),
        line({"messages_per_s": 99_999}, "the load was busy", case=redis),
        line({"messages_per_s": 300, "p50_ms": 2.0, "p99_ms": 4.0}, round=2),
        line({"messages_per_s": 88_888}, "7 <lost>", case=redis, round=2),
        line({"messages_per_s": 77_777}, "late & lost", round=3),
        line({"messages_per_s": 66_666}, "the load was busy", case=redis, round=3),
        line({"messages_per_s": 12_345.6}, case=("conduit", "sqlite")),
        line({"server_us_per_delivery": 1.25}, question="fanout", work=none),
        line({"server_us_per_delivery": 4.5}, question="fanout", work=each),
    ]


def knowledge() -> dict[str, Any]:
    """What limits them: one text for each."""
    return {
        "limits": [
            {"question": "publish", "system": "conduit", "text": "One core, `a < b` & <b>."},
            {"question": "publish", "system": "redis", "store": "memory", "text": "The load."},
            {"question": "fanout", "work": {"acks": "none"}, "text": "The kernel."},
            {"question": "fanout", "work": {"acks": "each | every"}, "text": "The acks."},
        ],
    }
