"""How smooth are the dashboard's pages in a real browser, when there is very much and it goes on?

`scrolling`: the store is filled as for the question `dashboard`, a thousand messages are published in a
second, and the long tables are scrolled by the wheel, from their beginning on. Figures are the times between
two frames while they move: a table may have none above 50 ms, the browser's own start of a scroll left out.
`live`: a page follows a topic into which 5,000 messages are published in a second, for a minute. The page
answers meanwhile (what a tiny script of the console waits for), its memory is looked at after each tenth of
the time, when garbage is collected, and at the end a pause has to stop it.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench import devtools, filling_much, wire
from bench.dashboard import IS_OVER, LARGE, PUBLISHES_PER_S, calm, filled, publish
from bench.filling_much import Much
from bench.harness import Case, Outcome, percentile
from bench.loads import Counters, Load, counters
from bench.systems import Busy, Server, conduit, directory, running
from conduit.load.checks import Checks

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAME_MAX_MS = 50.0
# Table → where it is.
TABLES = {
    "topics": "topics",
    "subscriptions": "subscriptions",
    "messages": f"messages?topic={filling_much.topic(1)}",
    "dead_letters": f"dead-letters?topic={filling_much.LETTERS_TOPIC}",
}
# A notch of a wheel, and how fast a finger turns it.
WHEEL_PX, WHEEL_EVERY_S = 120, 0.05
LIVE_PER_S, BATCH_COUNT = 5_000, 250
LIVE_TOPIC = "flood"
LOOKS = 10
# A memory that is flat may still have caches that fill.
GROWTH_MAX_MIB = 16.0
ANSWER_MAX_MS = 250.0
_MIB = 1024 * 1024
_FRAMES = """() => {
  window.framesMs = [];
  let before = performance.now();
  const frame = now => { window.framesMs.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def cases(short: bool) -> list[Case]:
    """Both in their long form, or with a tenth of everything."""
    much = Much(1_000, 10_000, 40, 5_000) if short else Much(10_000, 100_000, 40, 50_000)
    messages, seconds = (10_000, 10) if short else (1_000_000, 60)
    scrolling: dict[str, int | float | str] = {
        "page": "scrolling",
        "topics": much.topics,
        "durable_subscriptions": much.subscriptions,
        "messages": messages,
        "publishes_per_s": PUBLISHES_PER_S,
        "seconds_each": seconds // 3,
    }
    live: dict[str, int | float | str] = {
        "page": "live",
        "publishes_per_s": LIVE_PER_S,
        "seconds": seconds,
    }
    return [
        Case(
            "pages", "conduit", "sqlite", scrolling, functools.partial(_scrolling, much, scrolling)
        ),
        Case("pages", "conduit", "sqlite", live, functools.partial(_live, seconds)),
    ]


def _scrolling(much: Much, work: dict[str, Any]) -> Outcome:
    with directory() as path:
        server = filled(path, "sqlite", much, work["messages"] // LARGE)
        with running(server):
            filling_much.fill(server, "sqlite", much)
            calm(server)
            signs = counters(1)
            with Load(publish, server.port, signs) as load, _browser() as page:
                load.wait_ready()
                busy = Busy(server)
                load.go()
                frames_ms = {
                    name: _scrolled(page, server, view, work["seconds_each"])
                    for name, view in TABLES.items()
                }
                cores = busy.cores()
                signs[IS_OVER] = 1
                checks, rate = load.result()
    figures = {"published_per_s": rate}
    for name, each in frames_ms.items():
        figures[f"{name}_frame_p99_ms"] = percentile(sorted(each), 0.99)
        figures[f"{name}_frame_max_ms"] = max(each)
    outcome = Outcome(figures, checks, cores, load.cores, throughput=False)
    outcome.problems += [
        f"{name}: {sum(ms > FRAME_MAX_MS for ms in each)} of {len(each)} frames above {FRAME_MAX_MS:g} ms"
        for name, each in frames_ms.items()
        if max(each) > FRAME_MAX_MS
    ]
    return outcome


@contextmanager
def _browser() -> Iterator[Page]:
    # Here, as other questions run where Playwright is not installed.
    from tests.browser.pages import running_browser

    with running_browser() as browser:
        yield browser.new_context(viewport={"width": 1440, "height": 900}).new_page()


def _opened(page: Page, server: Server, view: str) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/ui/{view}")
    page.wait_for_selector("[role=table] [role=row]")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")


def _scrolled(page: Page, server: Server, view: str, seconds: int) -> list[float]:
    """How long each frame took, in milliseconds, while the wheel turned."""
    _opened(page, server, view)
    rows = page.locator("[role=table] [role=rowgroup]").nth(1)
    rows.hover()
    page.mouse.wheel(0, WHEEL_PX)
    time.sleep(1.0)
    page.evaluate(_FRAMES)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.mouse.wheel(0, WHEEL_PX)
        time.sleep(WHEEL_EVERY_S)
    frames_ms: list[float] = page.evaluate("window.framesMs")
    moved = rows.evaluate("element => element.scrollTop")
    if moved < WHEEL_PX * 10:
        raise RuntimeError(f"{view} was not scrolled: {moved} px")
    return frames_ms


def _live(seconds: int) -> Outcome:
    with directory() as path:
        server = conduit(path, "sqlite")
        with running(server):
            retention = {"max_messages": 4 * LIVE_PER_S}
            body = {"name": LIVE_TOPIC, "retention": retention}
            wire.call(server.port, "POST", "/api/topics", body)
            signs = counters(1)
            url = f"http://127.0.0.1:{server.port}/ui/messages?topic={LIVE_TOPIC}&read=live"
            with Load(_flood, server.port, signs) as load, devtools.page(url, 1440, 900) as page:
                load.wait_ready()
                page.wait_for(_says("Connected"))
                busy = Busy(server)
                load.go()
                page.wait_for(_says("Sampled: showing"))
                answers_ms, heaps_mib = _looked_at(page, seconds)
                frames_ms = page.evaluate("window.framesMs", list)
                cores = busy.cores()
                pause_ms = _paused(page)
                signs[IS_OVER] = 1
                checks, rate = load.result()
    figures = {
        "published_per_s": rate,
        "frame_p99_ms": percentile(sorted(frames_ms), 0.99),
        "answer_p99_ms": percentile(sorted(answers_ms), 0.99),
        "answer_max_ms": max(answers_ms),
        "first_heap_mib": heaps_mib[0],
        "last_heap_mib": heaps_mib[-1],
        "pause_ms": pause_ms,
    }
    outcome = Outcome(figures, checks, cores, load.cores, throughput=False)
    if rate < 0.95 * LIVE_PER_S:
        outcome.problems.append(f"only {rate:.0f} messages/s were published")
    if heaps_mib[-1] - heaps_mib[0] > GROWTH_MAX_MIB:
        outcome.problems.append(f"the page's memory grew: {heaps_mib}")
    if figures["answer_p99_ms"] > ANSWER_MAX_MS:
        outcome.problems.append("the page did not answer")
    return outcome


def _says(text: str) -> str:
    return f"document.body?.innerText.includes({json.dumps(text)})"


def _looked_at(page: devtools.Page, seconds: int) -> tuple[list[float], list[float]]:
    """How long the page took to answer each time, in milliseconds; its memory after each part, in MiB."""
    answers_ms: list[float] = []
    heaps_mib: list[float] = []
    page.evaluate(f"({_FRAMES})(), 0", int)
    for _ in range(LOOKS):
        until = time.monotonic() + seconds / LOOKS
        while time.monotonic() < until:
            began = time.perf_counter()
            page.evaluate("document.querySelectorAll('[role=row]').length", int)
            answers_ms.append((time.perf_counter() - began) * 1000)
            time.sleep(0.1)
        page.send("HeapProfiler.collectGarbage")
        heaps_mib.append(float(page.send("Runtime.getHeapUsage")["usedSize"]) / _MIB)
    return answers_ms, heaps_mib


def _paused(page: devtools.Page) -> float:
    """How long it took from the click until the page was paused, in milliseconds. Nothing moves then."""
    began = time.perf_counter()
    page.click("[...document.querySelectorAll('button')].find(e => e.innerText === 'Pause')")
    page.wait_for(_says("Go on"))
    took_ms = (time.perf_counter() - began) * 1000
    table = "document.querySelector('[role=table]').innerText"
    shown = page.evaluate(table, str)
    time.sleep(1.0)
    if page.evaluate(table, str) != shown:
        raise RuntimeError("the page goes on though it is paused")
    return took_ms


def _flood(ready: Callable[[], None], port: int, signs: Counters) -> tuple[Checks, float]:
    """Batches on schedule, until it is told that it is over."""
    message = {"topic": LIVE_TOPIC, "payload": {"id": 9007199254740993, "text": "x" * 150}}
    body, batches = {"messages": [message] * BATCH_COUNT}, 0
    ready()
    began = time.monotonic()
    while not signs[IS_OVER]:
        wire.call(port, "POST", "/api/publish/batch", body)
        batches += 1
        time.sleep(max(0.0, began + batches * BATCH_COUNT / LIVE_PER_S - time.monotonic()))
    count = batches * BATCH_COUNT
    return Checks(expected=count, seen=count), count / (time.monotonic() - began)
