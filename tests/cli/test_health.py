from __future__ import annotations

import asyncio

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import COMMAND
from tests.client.peer import answer, http_peer, problem
from tests.support.server import clean_environment, free_port

STATUS = {
    "status": "ok",
    "version": "0.1.0",
    "node_id": "n",
    "store": {"kind": "sqlite", "durable": True},
}


async def health(*args: str) -> tuple[int | None, bytes, bytes]:
    """The exit code of `conduit health`, and what it says, without holding up a scripted server."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("health", *args),
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out, err


@pytest.mark.process
async def test_a_server_that_becomes_ready_can_be_waited_for() -> None:
    begins = (problem(503, "overloaded"), answer(200, STATUS), problem(503, "store_unavailable"))
    async with http_peer(*begins, answer(200, STATUS), answer(200, {})) as (url, _):
        code, out, err = await health("--url", url, "--wait", "60s")
    assert (code, err) == (Exit.OK, b"")
    assert b'"ready": true' in out


@pytest.mark.process
async def test_one_answer_says_of_one_node_whether_it_is_ready() -> None:
    """A load balancer may hand the next question to another one."""
    why = {"code": "draining", "detail": "the node was drained"}
    status = {**STATUS, "ready": False, "not_ready": why}
    async with http_peer(answer(200, status)) as (url, asked):
        code, out, err = await health("--url", url)
    assert (code, len(asked)) == (Exit.CHECK_FAILED, 1)
    assert b'"ready": false' in out
    assert err == b"error: the node was drained (code draining)\n"


@pytest.mark.process
async def test_a_server_may_say_no_more_than_that_it_runs() -> None:
    async with http_peer(answer(200, {"status": "ok"}), answer(200, {})) as (url, _):
        code, out, err = await health("--url", url, "-o", "table")
    assert (code, err) == (Exit.OK, b"")
    shown = dict(line.split(maxsplit=1) for line in out.decode().splitlines())
    assert shown == {
        "status": "ok",
        "ready": "yes",
        **dict.fromkeys(("version", "node", "store", "durable"), "-"),
    }


@pytest.mark.process
@pytest.mark.parametrize("wait", ["10ms", "600ms"])
async def test_a_server_that_does_not_come_is_waited_for_no_longer(wait: str) -> None:
    code, out, err = await health("--url", f"http://127.0.0.1:{free_port()}", "--wait", wait)
    assert (code, out) == (Exit.NO_CONNECTION, b"")
    assert b"no answer" in err


@pytest.mark.process
async def test_a_server_that_is_not_ready_fails_the_check_and_says_why() -> None:
    replies = (answer(200, STATUS), problem(503, "shutting_down"))
    async with http_peer(*replies) as (url, _):
        code, out, err = await health("--url", url)
    assert code == Exit.CHECK_FAILED
    assert b'"ready": false' in out
    assert err == b"error: shutting_down (code shutting_down)\n"
