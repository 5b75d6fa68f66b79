"""`make screenshots`: every page of the dashboard, light and dark, narrow and wide.

They are written to `reports/screenshots/`, one file for each: `topics-dark-390.png`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Error

from tests.browser.dashboard import settled
from tests.browser.gallery import VIEWS
from tests.browser.pages import running_browser
from tests.browser.places import PLACES, Place

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "reports" / "screenshots"
OPEN_S = 45.0
SCHEMES = ("light", "dark")
SIZES = {390: 844, 1440: 900}
# What an act waits for takes no longer, even on a machine that is busy.
PATIENCE_MS = 30_000
# What the browser says itself of an answer that is meant to be a refusal.
REFUSED = "the server responded with a status of 40"


def main(arguments: Sequence[str] | None = None) -> int:
    """Take them; the exit code is 1 if something went wrong on a page."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.screenshots", description=__doc__
    )
    parser.add_argument(
        "views", nargs="*", metavar="VIEW", help="only these, of " + ", ".join(VIEWS)
    )
    parser.add_argument(
        "--open-s",
        type=float,
        default=OPEN_S,
        metavar="S",
        help="seconds for which a shop is open before: the charts have as many (%(default)s)",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.views if name not in VIEWS]
    if unknown:
        parser.error("no such view: " + ", ".join(unknown))
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    with running_browser() as browser:
        for at, opened in PLACES.items():
            names = [name for name in options.views or VIEWS if VIEWS[name].place == at]
            if names:
                with opened(options.open_s) as place:
                    wrong += _pictures(browser, place, names)
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


def _pictures(browser: Any, place: Place, names: Sequence[str]) -> Iterator[str]:
    for scheme, (width, height) in product(SCHEMES, SIZES.items()):
        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        if place.key:
            _sign_in(page, place)
        for name in names:
            path = FOLDER / f"{name}-{scheme}-{width}.png"
            try:
                _picture(page, place, name, path)
            except (AssertionError, Error) as error:
                said.append(str(error))
            print(path.relative_to(ROOT), flush=True)
            yield from (f"{path.name}: {text}" for text in said if REFUSED not in text)
            said.clear()
        context.close()


def _sign_in(page: Any, place: Place) -> None:
    page.goto(f"{place.url}/ui/topics")
    page.get_by_label("API key").fill(place.key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Topics").wait_for()


def _picture(page: Any, place: Place, name: str, path: Path) -> None:
    view = VIEWS[name]
    page.goto(f"{place.url}/ui/{view.path}")
    page.wait_for_selector("h1")
    settled(page)
    if view.act is not None:
        view.act(page)
        settled(page)
    # Charts are drawn in the next frames.
    time.sleep(0.6)
    if not view.is_sheet:
        # What stays in view while one scrolls would stand in the middle.
        page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=path, full_page=not view.is_sheet)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        raise AssertionError("the page is wider than the window")


if __name__ == "__main__":
    sys.exit(main())
