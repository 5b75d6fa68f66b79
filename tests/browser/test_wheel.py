"""What `pip install` gives: the server with its dashboard, in an environment of its own, without Node.js."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from conduit.server.dashboard.built import DIST, PAGE
from tests.browser.dashboard import opened, settled
from tests.support.server import RunningServer, free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
# What is not run need not be compiled.
INSTALL = ("install", "--no-compile", "--quiet")


def done(*command: str | Path, cwd: Path = ROOT) -> None:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert (DIST / PAGE).exists(), "make dashboard"
    folder = tmp_path_factory.mktemp("wheel")
    done(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_what_the_pages_are_made_from_is_not_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "conduit/server/dashboard/dist/" + PAGE in names
    assert not [
        name
        for name in names
        if name.endswith((".made-from", ".tsx", ".png", ".webp")) or "node_modules" in name
    ]


def test_an_empty_environment_has_a_server_with_pages_after_it_is_installed(
    wheel, browser, tmp_path
):
    venv.create(tmp_path / "empty")
    python = tmp_path / "empty" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    done(*pip, *INSTALL, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt")
    done(*pip, *INSTALL, "--no-deps", wheel)
    port = free_port()
    # Nothing else is found: no Node.js, and not what is installed beside these tests.
    env = {
        "PORT": str(port),
        "CONDUIT_HOST": "127.0.0.1",
        "PATH": str(python.parent),
        "PYTHONPATH": "",
    }
    server = RunningServer(tmp_path, env)
    server.python = str(python)
    server.start()
    try:
        for view in ("", "topics", "nodes", "playground"):
            with opened(browser, server, view) as page:
                settled(page)
                assert page.evaluate("document.scripts.length") >= 1
    finally:
        server.kill()
