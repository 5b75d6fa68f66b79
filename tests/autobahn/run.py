"""Run Autobahn's fuzzing client against echo_server.py and judge its report.

    python tests/autobahn/run.py [--python2 python2.7] [--report DIR]

The suite exists for Python 2.7 only; any 2.7 with pip will do. Everything is installed into a
temporary directory. Exits 0 if no case failed, 1 if one did, 2 if the suite could not be run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AGENT = "conduit"
# Not 9, whose messages have up to 16 MiB, and not 12 and 13, which are about compression.
SECTIONS = ("1", "2", "3", "4", "5", "6", "7", "10")
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")

INSTALL_TIMEOUT_S = 300
# A run takes about 10 s, most of it waits in sections 5 and 6.
RUN_TIMEOUT_S = 180
STOP_TIMEOUT_S = 10

WSTEST = """
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite import wstest
wstest.run()
"""

Report = dict[str, dict[str, Any]]


class CannotRunError(Exception):
    """The suite itself did not work; nothing is known about the server."""


def install(python2: str, site: Path) -> None:
    """Install the suite into `site`."""
    if shutil.which(python2) is None:
        raise CannotRunError(f"{python2} is not there; name a Python 2.7 with --python2")
    command = [python2, "-E", "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    run([*command, "-r", str(HERE / "requirements.txt")], INSTALL_TIMEOUT_S)


def run(command: list[str], timeout_s: float) -> None:
    """Run a command quietly; its output is shown only if it fails."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRunError(f"no end after {timeout_s} s: {' '.join(command)}") from error
    if done.returncode:
        raise CannotRunError(f"{' '.join(command)} failed:\n{done.stdout}")


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """The echo server in a process of its own; yields its port."""
    command = [sys.executable, str(HERE / "echo_server.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line:
                raise CannotRunError("the echo server did not start")
            yield int(line.rsplit(":", 1)[1])
        finally:
            server.terminate()
            server.wait(STOP_TIMEOUT_S)


def fuzz(python2: str, site: Path, report: Path) -> Report:
    """Run all cases; returns case → outcome."""
    with echo_server() as port:
        spec = {
            "outdir": str(report),
            "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}],
            "cases": [f"{section}.*" for section in SECTIONS],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        spec_file = site / "spec.json"
        spec_file.write_text(json.dumps(spec))
        mode = ["--mode", "fuzzingclient", "--spec", str(spec_file)]
        run([python2, "-E", "-W", "ignore", "-c", WSTEST, str(site), *mode], RUN_TIMEOUT_S)
    index: dict[str, Report] = json.loads((report / "index.json").read_text())
    cases = index.get(AGENT, {})
    if missing := set(SECTIONS) - {case.split(".")[0] for case in cases}:
        raise CannotRunError(f"no case was run of section {', '.join(sorted(missing))}")
    return cases


def judge(cases: Report, report: Path) -> bool:
    """Print the counts and every case that is not OK; returns whether none failed."""
    print(f"{len(cases)} cases of sections {', '.join(SECTIONS)}")
    for aspect in ("behavior", "behaviorClose"):
        counts = Counter(case[aspect] for case in cases.values()).most_common()
        print(f"  {aspect + ':':15}", ", ".join(f"{name} {count}" for name, count in counts))
    passed = True
    for name, case in sorted(cases.items(), key=lambda item: _numbers(item[0])):
        outcomes = (case["behavior"], case["behaviorClose"])
        if outcomes == ("OK", "OK"):
            continue
        print(f"  {name}: {outcomes[0]}, close {outcomes[1]} ({case['remoteCloseCode']})")
        if not set(outcomes) <= set(PASSED):
            passed = False
            detail = json.loads((report / case["reportfile"]).read_text())
            print(f"    {detail['result']} {detail['resultClose']}")
    print("passed" if passed else "FAILED")
    return passed


def _numbers(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python2", default="python2.7", help="the interpreter for the suite")
    parser.add_argument("--report", type=Path, help="keep the suite's HTML and JSON report here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autobahn-") as temporary:
        site = Path(temporary, "site")
        report = arguments.report or Path(temporary, "report")
        try:
            install(arguments.python2, site)
            return 0 if judge(fuzz(arguments.python2, site, report), report) else 1
        except CannotRunError as error:
            print(error, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
