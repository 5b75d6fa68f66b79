"""Requests made up from the OpenAPI document, right and wrong ones, against a real server.

    python -m tests.fuzz.requests --requests 20000 [--seed N]

None may be answered with 5xx, or with what the document does not say. On a server with authentication they
are sent by who has all rights, by who has few, and by nobody. Prints the seed and what was answered.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.support.access import Guarded, guarded_server
from tests.support.http import Api

# Something to be found, changed and deleted by those requests that guess right.
NAMES = ("0", "a")
# A name that fits the document's grammar is none of these.
NAME_CODES = {"invalid_topic", "invalid_pattern", "invalid_name"}
# What fits by itself may be refused beside something else, or for what it says: a cursor, a key that is in
# the header as well. Credentials are tried by the matrix, on connections of their own.
UNCHECKED = [positive_data_acceptance, ignored_auth]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
LONG_EXAMPLES_COUNT = 100


def furnish(api: Api) -> None:
    """Give it something to be found."""
    for name in NAMES:
        if api.post("/api/topics", {"name": name}).status == 201:
            api.publish_many(name, [1, {"a": "b"}, None])
        api.post("/api/subscriptions", {"name": name, "topic": name})


def operations(url: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """Those of the document."""
    # Who asks is said here: a second credential that is made up would be all that is looked at.
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    address = f"{url}/openapi.json"
    document = schemathesis.openapi.from_url(address, config=config, headers=headers or {})
    for found in document.get_all_operations():
        yield found.ok()


def send(
    operation: Any,
    mode: GenerationMode,
    *,
    count: int,
    headers: dict[str, str] | None = None,
    seed: int | None = None,
) -> collections.Counter[int]:
    """So many requests; the same ones each time without a seed. Returns how often each status came."""
    tally: collections.Counter[int] = collections.Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=seed is None,
        database=None,
        phases=list(Phase) if seed is None else [Phase.generate],
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        answer = case.call_and_validate(headers=headers, excluded_checks=UNCHECKED)
        tally[answer.status_code] += 1
        if mode is GenerationMode.POSITIVE and answer.status_code == 400:
            said = answer.json()
            assert said["code"] not in NAME_CODES, (case.method, case.path, case.body, said)

    if seed is not None:
        hypothesis.seed(seed)(each)
    # An operation that takes nothing cannot be asked wrongly.
    with contextlib.suppress(Unsatisfiable):
        each()
    return tally


def callers(guarded: Guarded) -> dict[str, dict[str, str]]:
    """Headers of who asks. The operator could delete the tenants and keys of the others, if it guessed."""
    api = guarded.create_tenant("fuzzed")
    furnish(api)
    few = guarded.create_key("fuzzed", "publish", "subscribe", topics=["a", "b.>"])
    return {
        "all rights": api.headers,
        "few rights": {"Authorization": f"Bearer {few['key']}"},
        "operator": guarded.operator.headers,
        "nobody": {},
    }


def fuzz(guarded: Guarded, count: int, seed: int) -> dict[str, Any]:
    """At least so many requests by all callers together; what was answered."""
    asking, began = callers(guarded), time.monotonic()
    tallies = {name: collections.Counter[int]() for name in asking}
    rounds = 0
    while sum(tally.total() for tally in tallies.values()) < count:
        for name, headers in asking.items():
            for operation in operations(guarded.server.url, headers):
                for mode in MODES:
                    examples = min(LONG_EXAMPLES_COUNT, max(1, count // 400))
                    tallies[name] += send(
                        operation, mode, count=examples, headers=headers, seed=seed + rounds
                    )
            # What was deleted is there again.
            furnish(guarded.acting("fuzzed"))
        rounds += 1
    assert guarded.server.alive
    assert '"level": "error"' not in guarded.server.log_text()
    answered = {name: dict(sorted(tally.items())) for name, tally in tallies.items()}
    return {"seed": seed, "seconds": round(time.monotonic() - began, 1), "answered": answered}


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description="Requests made up from the OpenAPI document.")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with guarded_server() as guarded:
        found = fuzz(guarded, options.requests, options.seed)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
