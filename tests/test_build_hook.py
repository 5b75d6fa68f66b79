"""What is built for others has the dashboard's pages, or is not built."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.build_hook import PAGE

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.process


@pytest.fixture
def tree(tmp_path):
    """What a build needs of the project, with an empty package and no pages."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tools/build_hook.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    package = tmp_path / "src" / "conduit"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "src" / "conduit" / "__init__.py", package)
    return tmp_path


def built(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "hatchling", "build", "-d", str(tree / "out"), *arguments)
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_without_pages_nothing_is_built_for_others_and_it_is_said_how_to_have_them(tree, target):
    refused = built(tree, "-t", target)
    assert refused.returncode != 0
    assert "run `make dashboard` first" in refused.stderr + refused.stdout
    assert not list(tree.glob("out/*"))


def test_a_checkout_is_installed_without_pages(tree):
    assert built(tree, "-t", "wheel:editable").returncode == 0


def test_a_wheel_has_the_pages_and_not_what_refuses(tree):
    (tree / PAGE).parent.mkdir(parents=True)
    (tree / PAGE).write_text("<!doctype html>")
    done = built(tree, "-t", "wheel")
    assert done.returncode == 0, done.stderr
    (wheel,) = tree.glob("out/*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "conduit/server/dashboard/dist/index.html" in names
    assert not any(name.startswith("tools") for name in names)
