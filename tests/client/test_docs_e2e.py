"""docs/client.md tells the truth: its code runs, in the order of the page, as one program."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from conduit.client import AsyncConduit
from conduit.client.holds import HOLD_MAX_S
from tests.support.http import Api
from tests.support.server import RunningServer, clean_environment, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

TEXT = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCKS = [dedent(block) for block in re.findall(r"^( *```python\n.*?) *```$", TEXT, re.M | re.S)]
PROGRAM, *PARTS = [block.partition("\n")[2] for block in BLOCKS]
URL = "http://127.0.0.1:8080"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


async def run(block: str, names: dict[str, Any]) -> None:
    """Execute a block that may await at its top."""
    code = compile(block, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.isawaitable(result):
        await result


def test_the_first_program_runs_as_it_stands(server: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace(URL, server.url)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("stored as number 1\norder 42\n", "")


class CardDeclined(Exception):
    pass


async def test_the_other_blocks_do_what_the_text_says(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers settle each order in its own way; the program ends by SIGTERM, in good order."""
    failed = set()

    async def charge(payload: dict[str, int]) -> None:
        number = payload["id"]
        if number == 13:
            raise CardDeclined("no")
        if number == 14 and number not in failed:
            failed.add(number)
            raise OSError("try again")

    _tokens, batch, workers, blocking, gaps, told, managing = PARTS
    api = Api(server.url)
    async with AsyncConduit(server.url) as client:
        names = {"client": client, "asyncio": asyncio, "AsyncConduit": AsyncConduit}
        names |= {"charge": charge, "CardDeclined": CardDeclined}
        for block in (workers, gaps, told.replace(URL, server.url)):
            await run(block, names)
        api.create_topic("orders")
        serving = asyncio.gather(names["until_told"]())
        await asyncio.to_thread(until, lambda: api.get("/api/subscriptions").json["subscriptions"])
        await run(batch, names)
        await asyncio.to_thread(until, lambda: lag(api) == 0)
        # Else the signal would end the tests.
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
        assert failed == {14}
        (letter,) = api.dead_letters()
        assert (letter["payload"], letter["reason"], letter["attempts"]) == ({"id": 13}, "no", 1)
        await run(managing.replace("billing", "charging"), names)
        await names["deliver_again"](client)
        said = capsys.readouterr().out
        assert ": no\n1 of 1 are delivered again" in said
        await follow(client, api, names, blocking)
    assert "orders was made anew: it counts from 1 again" in capsys.readouterr().out


async def test_a_token_comes_from_the_function(server: RunningServer) -> None:
    async def ask_our_service_for_a_token() -> str:
        asked.append(1)
        return "a token"

    asked: list[int] = []
    names: dict[str, Any] = {"AsyncConduit": AsyncConduit}
    names["ask_our_service_for_a_token"] = ask_our_service_for_a_token
    await run(PARTS[0].replace(URL, server.url), names)
    async with names["client"] as client, client.subscribe("t"):
        await client.stats()
    assert asked == [1]


def lag(api: Api) -> int:
    """What the workers have not settled."""
    places = api.get("/api/subscriptions/charging").json["topics"]
    return sum(place["lag"] for place in places) if places else -1


async def follow(client: AsyncConduit, api: Api, names: dict[str, Any], blocking: str) -> None:
    """The stream with `on_gap` sees the topic made anew; the loop with the thread takes from it."""
    rendered: list[dict[str, int]] = []
    names["render"] = rendered.append
    async with names["stream"]:
        taking = asyncio.gather(run(blocking, names))
        await client.publish("orders", {"id": 1})
        await asyncio.to_thread(until, lambda: rendered)
        await client.topics.delete("orders")
        api.create_topic("orders")
        await asyncio.to_thread(until, lambda: api.topic("orders")["subscriber_count"])
        await client.publish("orders", {"id": 2})
        await asyncio.to_thread(until, lambda: len(rendered) == 2)
        taking.cancel()


def test_the_numbers_of_the_page_are_those_of_the_program() -> None:
    assert f"after {HOLD_MAX_S / 60:.0f} minutes" in TEXT
