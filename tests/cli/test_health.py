from __future__ import annotations

import asyncio

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import COMMAND
from tests.client.peer import answer, http_peer, problem
from tests.support.server import clean_environment

STATUS = {
    "status": "ok",
    "version": "0.1.0",
    "node_id": "n",
    "store": {"kind": "sqlite", "durable": True},
}


@pytest.mark.process
async def test_a_server_that_is_not_ready_fails_the_check_and_says_why() -> None:
    replies = (answer(200, STATUS), problem(503, "shutting_down"))
    async with http_peer(*replies) as (url, _):
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("health", "--url", url),
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == Exit.CHECK_FAILED
    assert b'"ready": false' in out
    assert err == b"error: shutting_down\n"
