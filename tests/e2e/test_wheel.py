"""What `pip install` gives: the server with its dashboard, where there is no Node.js."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conduit.server.dashboard.built import DIST, PAGE
from tests.support.http import Api
from tests.support.server import RunningServer, free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel has, as pip would put it there."""
    assert (DIST / PAGE).exists(), "make dashboard"
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder))
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_pages_and_all_that_they_name_are_in_it_and_what_made_them_is_not(site):
    dist = site / "conduit" / "server" / "dashboard" / "dist"
    page = (dist / PAGE).read_text()
    named = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page)
    assert len(named) >= 3
    assert not [name for name in named if not (dist / name).is_file()]
    assert not list(site.rglob(".made-from"))
    assert not list(site.rglob("*.tsx"))
    assert not list(site.rglob("node_modules"))


def test_a_server_of_it_serves_them(site, tmp_path):
    port = free_port()
    env = {"PORT": str(port), "CONDUIT_HOST": "127.0.0.1", "PYTHONPATH": str(site)}
    server = RunningServer(tmp_path, env)
    server.start()
    try:
        api = Api(server.url)
        page = api.request("GET", "/ui/")
        assert page.status == 200
        script = re.search(rb'src="\./(assets/[^"]+\.js)"', page.body)
        assert script is not None
        answer = api.request("GET", f"/ui/{script[1].decode()}", None, {"accept-encoding": "br"})
        assert (answer.status, answer.headers["content-encoding"]) == (200, "br")
    finally:
        server.kill()
