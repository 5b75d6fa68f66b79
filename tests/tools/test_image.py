from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tools.image import context, dockerfile
from tools.image.inside import PROJECT, STANDS_IN

DOCKERFILE = PROJECT / "Dockerfile"


def test_stages_instructions_and_flags_are_told_apart():
    first, last = dockerfile.parse(
        """
# a comment
FROM debian:12 AS build
ENV A=1 B="two words" \\
    # this is no part of it
    C=$A

RUN one && \\
    two
FROM debian:12
COPY --from=build /a /b
CMD ["run", "it"]
CMD run it
"""
    )
    assert (first.name, last.name, last.base) == ("build", "1", "debian:12")
    env, run = first.instructions
    assert env.pairs({"A": "0"}) == {"A": "1", "B": "two words", "C": "0"}
    assert run.command() == ["/bin/sh", "-c", "one && two"]
    assert last.instructions[0].flags == {"from": "build"}
    assert last.instructions[1].command() == ["run", "it"]
    assert last.last("CMD").command() == ["/bin/sh", "-c", "run it"]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("", "no FROM"),
        ("RUN x", "before FROM"),
        ("FROM a\nADD x y", "line 2: ADD"),
        ("FROM a\nCOPY --chown=b x y", "line 2: COPY --chown"),
        ("FROM a\nRUN --mount=type=cache x", "line 2: RUN --mount"),
        ("FROM a\nRUN --network none x", "line 2: RUN --network"),
        ("FROM a NAMED b", "line 1: FROM a NAMED b"),
        ("FROM a\nRUN x \\", "line 2: it goes on"),
    ],
)
def test_what_is_not_understood_is_an_error_and_never_left_out(text, about):
    with pytest.raises(dockerfile.DockerfileError, match=about):
        dockerfile.parse(text)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("a$X-b", "a1-b"),
        ("${X}2", "12"),
        ("${NONE:-or}", "or"),
        ("${X:-or}", "1"),
        ("$NONE", ""),
    ],
)
def test_variables_have_the_values_of_before(text, expanded):
    assert dockerfile.expanded(text, {"X": "1"}) == expanded


@pytest.mark.parametrize(
    ("path", "is_out"),
    [
        ("data/conduit.db", True),
        ("src/a.py", False),
        ("src/deep/a.pyc", True),
        ("src/__pycache__", True),
        ("src/__pycache__/a", True),
        ("src/deep/__pycache__/a", True),
        ("src/kept.pyc", False),
        ("srcs", True),
        ("one/x", True),
        ("one", False),
    ],
)
def test_the_last_pattern_counts_and_a_folder_has_its_files_with_it(path, is_out):
    rules = "# all\n*\n!src\n!one\none/*\n**/__pycache__\n**/*.pyc\n!src/kept.pyc\n"
    assert context.ignored(rules)(PurePosixPath(path)) is is_out


def test_folders_are_copied_by_content_and_files_by_name(tmp_path: Path):
    project, root = tmp_path / "project", tmp_path / "root"
    for name in ("a.txt", "folder/b.txt", "folder/no.pyc", "folder/in/c.txt"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / ".dockerignore").write_text("**/*.pyc")
    assert context.copy(project, ["folder"], root, "/to") == 2
    assert context.copy(project, ["a.txt", "folder"], root, "/many/") == 3
    assert context.copy(project, ["a.txt"], root, "/as/b.txt") == 1
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {
        "to/b.txt",
        "to/in/c.txt",
        "many/a.txt",
        "many/b.txt",
        "many/in/c.txt",
        "as/b.txt",
    }
    with pytest.raises(context.NothingToCopyError, match=r"no\.pyc"):
        context.copy(project, ["folder/no.pyc"], root, "/x")


def test_the_dockerfile_is_understood_and_what_it_copies_is_there(tmp_path: Path):
    copied: list[str] = []
    for stage in dockerfile.parse(DOCKERFILE.read_text()):
        assert stage.base in STANDS_IN
        for instruction in stage.instructions:
            if instruction.keyword == "COPY" and "from" not in instruction.flags:
                copied += instruction.words({})[:-1]
    # Only what is not large: whether it is there, and let through.
    for source in copied:
        if (PROJECT / source).is_file():
            context.copy(PROJECT, [source], tmp_path, "/x/")
        else:
            assert (PROJECT / source).is_dir(), source


def test_nothing_that_was_made_or_is_secret_gets_into_an_image():
    is_out = context.ignored((PROJECT / context.IGNORE).read_text())
    for path in (
        ".git/config",
        ".venv/bin/python",
        "data/conduit.db",
        "dashboard/node_modules/react/index.js",
        "src/conduit/server/dashboard/dist/index.html",
        "tests/conftest.py",
        ".env",
        "src/conduit/__pycache__/errors.cpython-311.pyc",
    ):
        assert is_out(PurePosixPath(path)), path
    for path in ("src/conduit/errors.py", "dashboard/src/main.tsx", "requirements/image.txt"):
        assert not is_out(PurePosixPath(path)), path


@pytest.mark.process
def test_the_dockerfile_follows_the_rules_of_hadolint():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
