"""What `make test-fast` leaves out, and that nothing else starts a process."""

import asyncio
import multiprocessing
import os
import subprocess
import sys

import pytest
import uvloop


def spawned():
    multiprocessing.get_context("spawn").Process(target=print).start()


def executed():
    asyncio.run(asyncio.create_subprocess_exec("true"))


def executed_on_uvloop():
    uvloop.run(asyncio.create_subprocess_exec("true"))


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(["true"]),
        lambda: os.system("true"),
        os.fork,
        spawned,
        executed,
        executed_on_uvloop,
    ],
    ids=["subprocess", "system", "fork", "multiprocessing", "asyncio", "uvloop"],
)
def test_a_test_without_the_mark_cannot_start_a_process(start):
    with pytest.raises(AssertionError, match=r"starts a process .* mark it"):
        start()


@pytest.mark.process
def test_a_test_with_the_mark_can():
    assert subprocess.run(["true"], check=True).returncode == 0


@pytest.mark.process
def test_what_starts_a_process_is_left_out_where_that_is_asked_for():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not process"]
    done = subprocess.run(
        [*command, "tests/e2e/test_nodes.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
