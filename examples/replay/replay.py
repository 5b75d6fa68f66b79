"""Four years of Seattle's weather, day by day, published at a multiple of its recorded pace.

    python examples/replay/replay.py [--url http://localhost:8080] [--speed 8640000]

Everything goes through the `conduit` command: one `conduit pub` that is fed as the days come, and
three `conduit sub` on different patterns. The durable one is killed in the middle and started again.
At the end each has to have every day of its pattern, in order; exit code 0 if so.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

try:
    from vega_datasets import local_data
except ImportError:
    sys.exit(
        "error: the package vega_datasets, which has the data, is missing; run `make setup` first"
    )

CONDUIT = (sys.executable, "-m", "conduit")
DAY_S = 86_400
DONE_WITHIN_S = 30.0
Messages = dict[str, list[dict[str, Any]]]
"""Topic → payloads in the order of publishing."""


def recorded_days() -> list[dict[str, Any]]:
    """NOAA's record for Seattle, 2012–2015: one payload per day, oldest first."""
    with open(local_data.seattle_weather.filepath, newline="") as table:
        return [
            {
                "date": row["date"].replace("/", "-"),
                "weather": row["weather"],
                "precipitation_mm": float(row["precipitation"]),
                "temp_max_c": float(row["temp_max"]),
                "temp_min_c": float(row["temp_min"]),
                "wind_m_s": float(row["wind"]),
            }
            for row in csv.DictReader(table)
        ]


def topic_of(day: dict[str, Any]) -> str:
    """One topic for each kind of weather: rain, drizzle, fog, snow, sun."""
    return f"replay.seattle.{day['weather']}"


@dataclass
class Subscriber:
    """One `conduit sub`, which writes JSON lines to a file. May be killed and started again."""

    name: str
    pattern: str
    url: str
    folder: Path
    durable: bool = False
    files: list[Path] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to receive; a durable one goes on where it was."""
        path = self.folder / f"{self.name}-{len(self.files)}.jsonl"
        self.files.append(path)
        name = ("--subscription", self.name) if self.durable else ()
        options = ("--from", "earliest", "-o", "jsonl", "--url", self.url)
        with path.open("wb") as out, path.with_suffix(".log").open("wb") as log:
            self.process = subprocess.Popen(
                [*CONDUIT, "sub", self.pattern, *name, *options], stdout=out, stderr=log
            )

    def stop(self, *, kill: bool = False) -> None:
        """Ctrl-C's way, or at once."""
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait()

    def received(self) -> list[list[dict[str, Any]]]:
        """What each process wrote. A line that the kill cut short does not count: it has no ack."""
        texts = [path.read_bytes() for path in self.files]
        return [[json.loads(line) for line in text.split(b"\n")[:-1]] for text in texts]

    def received_count(self) -> int:
        """How many lines there are, the repeated ones included."""
        return sum(path.read_bytes().count(b"\n") for path in self.files)


def publish(days: list[dict[str, Any]], speed: float, lines: IO[bytes]) -> None:
    """Write each day to `conduit pub` when it is due, in batches of what is due together."""
    first, began = date.fromisoformat(days[0]["date"]), time.monotonic()
    for day in days:
        age_s = (date.fromisoformat(day["date"]) - first).days * DAY_S
        early_s = began + age_s / speed - time.monotonic()
        if early_s > 0:
            lines.flush()
            time.sleep(early_s)
        lines.write(json.dumps({"topic": topic_of(day), "payload": day}).encode() + b"\n")
    lines.flush()


def run(url: str, speed: float, folder: Path) -> list[Subscriber]:
    """Publish everything; kill the durable subscriber on the way and start it again."""
    days = recorded_days()
    everything = Subscriber("everything", "replay.>", url, folder)
    snow = Subscriber("snow", "replay.*.snow", url, folder)
    almanac = Subscriber("almanac", "replay.seattle.*", url, folder, durable=True)
    subscribers = [everything, snow, almanac]
    receipts = folder / "receipts.jsonl"
    try:
        for subscriber in subscribers:
            subscriber.start()
        with receipts.open("wb") as out:
            publisher = subprocess.Popen(
                [*CONDUIT, "pub", "--messages", "--file", "-", "--create", "--url", url],
                stdin=subprocess.PIPE,
                stdout=out,
            )
        with publisher:
            assert publisher.stdin is not None
            middle, later = len(days) // 2, len(days) * 2 // 3
            publish(days[:middle], speed, publisher.stdin)
            wait_for(almanac, middle // 2)
            almanac.stop(kill=True)
            publish(days[middle:later], speed, publisher.stdin)
            almanac.start()
            publish(days[later:], speed, publisher.stdin)
        if publisher.returncode or len(receipts.read_bytes().splitlines()) != len(days):
            raise SystemExit("not every day was published")
        for subscriber in subscribers:
            wait_for(subscriber, count_of(expected(subscriber.pattern, days)))
        return subscribers
    finally:
        for subscriber in subscribers:
            subscriber.stop()


def wait_for(subscriber: Subscriber, count: int) -> None:
    """Until so many lines are there, or time is up: then the verdict says what is missing."""
    deadline = time.monotonic() + DONE_WITHIN_S
    while subscriber.received_count() < count and time.monotonic() < deadline:
        time.sleep(0.05)


def expected(pattern: str, days: list[dict[str, Any]]) -> Messages:
    """What a subscriber of this pattern has to have."""
    messages: Messages = defaultdict(list)
    for day in days:
        if not pattern.endswith(".snow") or day["weather"] == "snow":
            messages[topic_of(day)].append(day)
    return messages


def count_of(messages: Messages) -> int:
    """All topics together."""
    return sum(len(payloads) for payloads in messages.values())


def verdict(subscriber: Subscriber, days: list[dict[str, Any]]) -> tuple[str, bool]:
    """One line about what it received, and whether that is everything in order."""
    want = expected(subscriber.pattern, days)
    got: dict[tuple[str, int], dict[str, Any]] = {}
    in_order, total = True, 0
    for process in subscriber.received():
        last: dict[str, int] = defaultdict(int)
        for message in process:
            total += 1
            topic, seq = message["topic"], message["seq"]
            got.setdefault((topic, seq), message["payload"])
            if message["attempt"] == 1:
                in_order &= seq > last[topic]
                last[topic] = seq
    found: Messages = defaultdict(list)
    for topic, seq in sorted(got):
        found[topic].append(got[topic, seq])
    complete = found == want
    missing = count_of(want) - len(got)
    line = (
        f"{subscriber.pattern:18} {subscriber.name:11} {len(got):5,} of {count_of(want):5,} days, "
        f"{total - len(got)} of them again, {missing} missing, "
        f"{'in order' if in_order else 'OUT OF ORDER'}"
    )
    if len(subscriber.files) > 1:
        line += f"; killed and started again after {len(subscriber.received()[0]):,}"
    return line, complete and in_order


def forget(url: str, days: list[dict[str, Any]]) -> None:
    """Remove what an earlier run left; it is no error if there is nothing."""
    options = ("--yes", "--url", url)
    for topic in sorted({topic_of(day) for day in days}):
        subprocess.run([*CONDUIT, "topic", "rm", topic, *options], capture_output=True, check=False)
    command = [*CONDUIT, "subscription", "rm", "almanac", *options]
    subprocess.run(command, capture_output=True, check=False)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument(
        "--speed", type=float, default=100 * DAY_S, help="default: 100 days a second"
    )
    options = parser.parse_args()
    days = recorded_days()
    print(f"{len(days):,} days of weather, {days[0]['date']} to {days[-1]['date']}", flush=True)
    forget(options.url, days)
    with tempfile.TemporaryDirectory(prefix="conduit-replay-") as folder:
        subscribers = run(options.url, options.speed, Path(folder))
        verdicts = [verdict(subscriber, days) for subscriber in subscribers]
    for line, _ in verdicts:
        print(line)
    fine = all(good for _, good in verdicts)
    print("nothing lost, nothing out of order" if fine else "FAILED")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
