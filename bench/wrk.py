"""wrk as a load: many HTTP connections, each with one publish outstanding (a closed loop)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from bench import loads, wire
from bench.systems import tool

_SCRIPT = Path(__file__).with_name("publish.lua")
# Beyond the time it was told to run for.
_END_WITHIN_S = 60.0


@dataclasses.dataclass
class Answered:
    """What wrk saw: answers, those that were not a 2xx or did not come, latencies, its own CPU."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cores: float

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def publish(port: int, clients: int, seconds: int, topic: str = "bench") -> Answered:
    """Publish from `clients` connections and one thread, as `wire.CALLER`; each payload has a number of its
    own."""
    command = [tool("wrk", "wrk"), "-t1", f"-c{clients}", f"-d{seconds}", "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}/api/publish", "--", topic]
    command += [wire.CALLER.key] if wire.CALLER.key else []
    said, cores = loads.program(command, seconds + _END_WITHIN_S)
    result = json.loads(said.split("RESULT ", 1)[1])
    return Answered(
        requests=result["requests"],
        failed=result["failed"],
        seconds=result["duration_us"] / 1e6,
        p50_ms=result["p50_us"] / 1000,
        p99_ms=result["p99_us"] / 1000,
        cores=cores,
    )
