"""`python -m bench [QUESTION …]`: run the questions; exit 1 if a line is invalid."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import resource
import sys
from pathlib import Path

from bench import harness
from bench.systems import MissingTool

QUESTIONS = (
    "publish",
    "workers",
    "batches",
    "pipelined",
    "ceiling",
    "overload",
    "fanout",
    "durable",
    "catchup",
    "latency",
    "idle",
    "held",
    "recovery",
    "growth",
    "retention",
    "scale",
    "dashboard",
    "pages",
    "control",
    "auth",
    "neighbours",
    "hostile",
    "cluster",
)


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--short", action="store_true", help="less of everything: minutes for all")
    parser.add_argument("--rounds", type=int, default=3, help="times each case runs (3)")
    parser.add_argument("--systems", help="only these, as conduit,nats,jetstream,redis")
    parser.add_argument("--store", help="only cases on this store, as memory, sqlite or postgresql")
    parser.add_argument(
        "--only", help="only cases with this text in their work, as pings", default=""
    )
    parser.add_argument("--out", type=Path, help="append the lines to this file")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    unknown = set(options.questions) - set(QUESTIONS)
    if unknown:
        parser.error(
            f"unknown question {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}"
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    valid, asked = True, 0
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.out.open("a")) if options.out else None
        for question in options.questions or QUESTIONS:
            cases = importlib.import_module(f"bench.{question}").cases(options.short)
            wanted = options.systems.split(",") if options.systems else None
            cases = [case for case in cases if wanted is None or case.system in wanted]
            cases = [case for case in cases if options.store in (None, case.store)]
            cases = [case for case in cases if options.only in json.dumps(case.work)]
            asked += len(cases)
            command = f"python -m bench {question}" + (" --short" if options.short else "")
            try:
                valid &= harness.run(cases, options.rounds, out, command)
            except MissingTool as error:
                sys.exit(str(error))
    if not asked:
        parser.error("no case is on these systems and this store, with this work")
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main())
