"""Whether the time of an answer tells what its text does not.

    python -m tests.fuzz.times --store memory|sqlite|postgres --count 3000

Each line is about one question: what does not exist beside what another tenant has, or a key that nobody has
beside one that is wrong, revoked, expired or rotated out. Both are asked in turns of random order on one
connection, and compared by the medians of their times and a Mann-Whitney test: `p` is how likely a difference
of ranks as large as this one is where there is none. Of what does not exist there are two: what is between
these is noise. A machine that does other things as well makes differences harder to see. With
`postgres` each key that is not good waits for a look at what other nodes have made, 20 ms after the one
before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby

from tests.support.access import (
    Guarded,
    Names,
    Signed,
    expired,
    furnish,
    guarded_server,
    id_of,
    random_text,
    revoked,
    rotated_out,
    secret_of,
    spelled,
)
from tests.support.postgres import Cluster
from tests.support.raw import RawHttp, RawSocket

WARM_COUNT = 200
# Below this there is a difference, or one of a thousand questions has come out so by chance.
TOLD_P = 0.001
STORES = {"memory": {}, "sqlite": {"DATABASE_URL": "sqlite:///conduit.db"}, "postgres": {}}

Ask = Callable[[], None]


def rank_test(one: list[float], two: list[float]) -> float:
    """Two-sided p of Mann and Whitney's test, by the normal distribution, corrected for ties."""
    marked = sorted([(value, 0) for value in one] + [(value, 1) for value in two])
    rank_sum, ties, rank = 0.0, 0.0, 1
    for _, group in groupby(marked, key=lambda each: each[0]):
        same = list(group)
        count = len(same)
        rank_sum += (rank + (count - 1) / 2) * sum(1 for _, which in same if which == 0)
        ties += count**3 - count
        rank += count
    n, m = len(one), len(two)
    total = n + m
    mean = n * (total + 1) / 2
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
    return math.erfc(abs(rank_sum - mean) / deviation / math.sqrt(2))


def compare(question: str, asks: dict[str, Ask], count: int, rng: random.Random) -> bool:
    """Ask in turns; print the medians, and whether there is a difference to the first. Returns that."""
    times_us: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(WARM_COUNT + count):
        for name in rng.sample([*asks], len(asks)):
            begun = time.perf_counter_ns()
            asks[name]()
            if number >= WARM_COUNT:
                times_us[name].append((time.perf_counter_ns() - begun) / 1000)
    base = next(iter(asks))
    medians = {name: round(statistics.median(values), 1) for name, values in times_us.items()}
    ps = {name: rank_test(times_us[base], times_us[name]) for name in asks if name != base}
    is_told = any(p < TOLD_P for name, p in ps.items() if not name.endswith(" too"))
    shown = {name: float(f"{p:.2g}") for name, p in ps.items()}
    line = {"question": question, "median_us": medians, "p": shown, "told": is_told}
    print(json.dumps(line), flush=True)
    return is_told


def http_ask(raw: RawHttp, status: int, line: str, key: str, body: str | None = None) -> Ask:
    """One request on that connection."""
    head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Length: {len(body)}\r\n"
    data = f"{head}\r\n{body or ''}".encode()

    def ask() -> None:
        raw.send(data)
        assert raw.answer()[0] == status

    return ask


def frame_ask(raw: RawSocket, names: Names, frame: dict[str, object]) -> Ask:
    """One frame on that WebSocket."""
    data = json.dumps(names.put({**frame, "ref": "r"})).encode()

    def ask() -> None:
        raw.send(0x81, data)
        assert b'"error"' in raw.text()

    return ask


# Questions ----------------------------------------------------------------------------------------


def keys(guarded: Guarded, good: Signed) -> dict[str, str]:
    """Those that are not good, by what is wrong with them; the first is nobody's."""
    assert good.key is not None
    return {
        "unknown": spelled(random_text(8), random_text(32)),
        "unknown too": spelled(random_text(8), random_text(32)),
        "wrong": spelled(id_of(good.key), random_text(32)),
        "of another": spelled(id_of(good.key), secret_of(guarded.create_key("acme")["key"])),
        "revoked": revoked(guarded, "acme"),
        "expired": expired(guarded, "acme"),
        "rotated out": rotated_out(guarded, "acme"),
    }


OBJECTS = (
    ("GET /api/topics/{topic}", None),
    ("GET /api/topics/{topic}/messages", None),
    ("GET /api/messages/{message}", None),
    ("GET /api/subscriptions/{subscription}", None),
    ("GET /api/subscriptions/{subscription}/topics", None),
    ("POST /api/subscriptions/{subscription}/pause", None),
    ("GET /api/dlq/{letter}", None),
    ("POST /api/dlq/{letter}/redrive", None),
    ("DELETE /api/dlq/{letter}", None),
    ("GET /api/dlq/jobs/{job}", None),
    ("GET /api/keys/{key}", None),
    ("DELETE /api/keys/{key}", None),
    ("POST /api/publish", {"topic": "{topic}", "payload": 1}),
    ("DELETE /api/topics/{topic}", None),
)
FRAMES = (
    {"type": "ack", "message_id": "{message}"},
    {"type": "reject", "message_id": "{message}", "subscription": "{subscription}"},
    {"type": "ack", "topic": "{topic}", "seq": 1},
    {"type": "publish", "topic": "{topic}", "payload": 1},
    {"type": "subscribe", "topic": "{topic}", "create": False},
    {"type": "subscribe", "topic": "{topic}", "subscription": "{subscription}", "create": False},
    {"type": "unsubscribe", "topic": "{topic}", "subscription": "{subscription}"},
)


def about_keys(guarded: Guarded, acme: Signed, count: int, rng: random.Random) -> Iterator[bool]:
    """Of keys that are not good, over HTTP."""
    wrong = keys(guarded, acme)
    body = '{"topic":"a","payload":1}'
    with RawHttp(guarded.server.port) as raw:
        for line, sent in (("POST /api/publish", body), ("GET /api/topics", None)):
            asks = {name: http_ask(raw, 401, line, key, sent) for name, key in wrong.items()}
            yield compare(f"a key: {line}", asks, count, rng)


def about_things(
    guarded: Guarded, blue: Signed, acme: Names, count: int, rng: random.Random
) -> Iterator[bool]:
    """Of things of another tenant, over HTTP and on a WebSocket."""
    whose = (("none", acme.like()), ("none too", acme.like()), ("theirs", acme))
    assert blue.key is not None
    with RawHttp(guarded.server.port) as raw:
        for line, template in OBJECTS:
            asks = {}
            for name, names in whose:
                body = None if template is None else json.dumps(names.put(template))
                asks[name] = http_ask(raw, 404, names.put(line), blue.key, body)
            yield compare(line, asks, count, rng)
    with RawSocket(guarded.server.port) as raw:
        raw.request(type="auth", token=blue.key)
        assert b"authenticated" in raw.text()
        for frame in FRAMES:
            asks = {name: frame_ask(raw, names, frame) for name, names in whose}
            yield compare(json.dumps(frame), asks, count, rng)


@contextlib.contextmanager
def server(store: str) -> Iterator[Guarded]:
    """One on that store."""
    with contextlib.ExitStack() as stack:
        settings = dict(STORES[store])
        if store == "postgres":
            cluster = Cluster()
            stack.callback(cluster.remove)
            cluster.start()
            settings["DATABASE_URL"] = cluster.create_database()
        yield stack.enter_context(guarded_server(**settings))


def main() -> int:
    """Ask all questions."""
    parser = argparse.ArgumentParser(description="Whether times of answers tell something.")
    parser.add_argument("--store", choices=sorted(STORES), default="memory")
    parser.add_argument("--count", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="questions that have this in them")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with server(options.store) as guarded:
        acme, blue = guarded.create_tenant("acme"), guarded.create_tenant("blue")
        names = furnish(acme, "acme")
        furnish(blue, "blue")
        # What another tenant has was delivered lately, and is known by its id.
        with acme.socket() as socket:
            socket.subscribe(names.topic, start="earliest")
            socket.messages(3)
        told = [*about_keys(guarded, acme, options.count, rng)]
        told += about_things(guarded, blue, names, options.count, rng)
    return int(any(told))


if __name__ == "__main__":
    sys.exit(main())
