"""`make screenshots`: every page of the dashboard, light and dark, narrow and wide, of a shop that is open.

They are written to `reports/screenshots/`, one file for each: `topics-dark-390.png`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from conduit.client import AsyncConduit
from tests.browser.dashboard import settled
from tests.browser.pages import running_browser
from tests.browser.shop import open_shop, trade
from tests.support.server import RunningServer, running_server

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "reports" / "screenshots"
TRADE_S = 45.0
SCHEMES = ("light", "dark")
SIZES = {390: 844, 1440: 900}
TOPIC = "orders.paid"
# Name of the file → view.
VIEWS = {
    "overview": "",
    "topics": "topics",
    "topic": f"topics/{TOPIC}",
    "topic-messages": f"topics/{TOPIC}?tab=messages",
    "topic-subscriptions": f"topics/{TOPIC}?tab=subscriptions",
    "topic-settings": f"topics/{TOPIC}?tab=settings",
    "topic-connect": f"topics/{TOPIC}?tab=connect",
    "messages": f"messages?topic={TOPIC}",
    "dead-letters": "dead-letters",
    "subscriptions": "subscriptions",
    "nodes": "nodes",
    "playground": "playground",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take them; the exit code is 1 if something went wrong on a page."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.screenshots", description=__doc__
    )
    parser.add_argument("views", nargs="*", help="only these: " + ", ".join(VIEWS))
    names = parser.parse_args(arguments).views or list(VIEWS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running_server(DATABASE_URL="sqlite:///shop.db") as server:
        asyncio.run(_shop(server))
        with running_browser() as browser:
            wrong = list(_pictures(browser, server, names))
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


async def _shop(server: RunningServer) -> None:
    async with AsyncConduit(server.url) as client:
        await open_shop(client)
        print(f"a shop is open for {TRADE_S:.0f} s", flush=True)
        await trade(client, TRADE_S)


def _pictures(browser: Any, server: RunningServer, names: Sequence[str]) -> Iterator[str]:
    for scheme, (width, height) in product(SCHEMES, SIZES.items()):
        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        for name in names:
            page.goto(f"{server.url}/ui/{VIEWS[name]}")
            page.wait_for_selector("h1")
            settled(page)
            # Charts are drawn in the next frames.
            time.sleep(0.3)
            path = FOLDER / f"{name}-{scheme}-{width}.png"
            page.screenshot(path=path, full_page=True)
            print(path.relative_to(ROOT), flush=True)
            yield from (f"{name}, {scheme}, {width}: {text}" for text in said)
            said.clear()
        context.close()


if __name__ == "__main__":
    sys.exit(main())
