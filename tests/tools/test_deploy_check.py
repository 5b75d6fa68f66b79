"""`make deploy-check` passes what is shipped, fails what is wrong, and names what it could not look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.deploy import proxies
from tools.deploy.__main__ import main

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What it looks at, to be changed."""
    for name in ("deploy", ".github"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("docker-compose.yml", "railway.json"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_what_is_shipped_passes(capsys):
    assert main([]) == 0, capsys.readouterr().out


def test_what_is_wrong_is_found_wherever_it_is(copy, capsys):
    for path, was, now, _ in WRONG:
        text = (copy / path).read_text()
        assert was in text, path
        (copy / path).write_text(text.replace(was, now, 1))
    assert main([], copy) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.endswith(": FAILED")]
    for _, _, _, found_by in WRONG:
        if found_by == "systemd" and proxies.found("systemd-analyze") is None:
            continue
        assert any(line.startswith(f"deploy: {found_by}") for line in failed), found_by


WRONG = [
    ("docker-compose.yml", "restart: unless-stopped", "restarts: always", "compose files"),
    ("deploy/kubernetes/services.yaml", "clusterIP:", "clusterIp:", "Kubernetes"),
    (".github/workflows/deploy.yml", "runs-on:", "run-on:", "workflows: github-workflows"),
    (
        ".github/workflows/pr-checks.yml",
        "persist-credentials: false",
        "fetch-depth: 0",
        "workflows: zizmor",
    ),
    (
        ".github/workflows/benchmarks.yml",
        "timeout-minutes: 60",
        "name: x",
        "workflows: github-workflows-require",
    ),
    (".github/workflows/release.yml", "github.repository", "github.repo", "workflows: actionlint"),
    (
        "deploy/conduit.service",
        "ProtectSystem=strict\n",
        "ProtectSystem=no\nUser=root\nPrivateUsers=no\n",
        "systemd: exposure",
    ),
    ("deploy/nginx/conduit.conf", "ssl_session_cache", "ssl_session_cash", "nginx"),
]


def test_what_is_not_installed_is_named_and_fails_if_all_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert proxies.found("systemd-analyze") is None
    assert main(["--only", "systemd"]) == 0
    assert (
        "LEFT OUT: systemd: verify: systemd-analyze is missing (systemd)" in capsys.readouterr().out
    )
    assert main(["--only", "systemd", "--all"]) == 1
