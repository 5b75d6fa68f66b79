"""Debian's Prometheus and promtool, and what is given to them."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.server import free_port
from tests.support.wait import until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "conduit.json"
_STRING = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\b(?:conduit|process)_\w+")
_MATCHER = re.compile(r'(\w+)\s*=~?\s*"([^"]*)"')
_SELECTOR = re.compile(r"\b((?:conduit|process)_\w+)\{([^}]*)\}")


def promtool(*arguments: str | Path, given: str = "") -> str:
    """What it says; it fails the test where it finds a fault, or says anything of metrics."""
    done = subprocess.run(
        [_program("promtool"), *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def named(expression: str) -> set[str]:
    """The metrics that it names, without what a histogram or summary adds."""
    bare = _STRING.sub('""', expression)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in _NAME.findall(bare)}


def matched(expression: str) -> Iterator[tuple[str, str, str]]:
    """Metric, label and each value that it is to have, of the label matchers in it."""
    for name, matchers in _SELECTOR.findall(expression):
        for label, values in _MATCHER.findall(matchers):
            for value in values.split("|"):
                yield name, label, value


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API; None until it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(query)}")
            answer = connection.getresponse()
            return json.loads(answer.read())["data"] if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()

    def value(self, expression: str) -> float | None:
        """Of the first series of an expression."""
        found = self.get("query", query=expression)
        return float(found["result"][0]["value"][1]) if found and found["result"] else None


@contextmanager
def running_prometheus(folder: Path, port: int) -> Iterator[Prometheus]:
    """It scrapes the server at `port` five times in a second, with our rules, of which none waits."""
    rules = re.sub(r"^( +for:) \S+$", r"\1 0s", RULES.read_text(), flags=re.MULTILINE)
    (folder / "alerts.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\n"
        "rule_files: [alerts.yml]\n"
        "scrape_configs:\n"
        "  - job_name: conduit\n"
        f'    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]\n'
    )
    own = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                _program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    found = Prometheus(own)
    try:
        until(lambda: found.value("up") or process.poll() is not None)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"no {name}: as root, make services"
    return path
