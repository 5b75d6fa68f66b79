"""Pages of the dashboard as axe-core sees them, in both themes; it comes with the dashboard's packages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# What WCAG 2.2 AA asks for, and what is good practice besides.
_RULES = {
    "type": "tag",
    "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
# Those of them that look at colours, which is all that differs in the other theme.
_OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
WIDTHS = (390, 1440)
HEIGHT = 844
# The next frame has the new colours: where less motion is wanted nothing comes by and by.
_FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

# Selectors are made for what breaks a rule alone: for all that keeps it they cost more than the rules.
_RUN = """async rules => (await axe.run(document, {
  runOnly: rules, resultTypes: ["violations"], preload: false, iframes: false,
})).violations"""


def violations(page: Page) -> list[str]:
    """Each rule that the page breaks as it is when the system is light, and when it is dark, and where."""
    if not page.evaluate("() => 'axe' in window"):
        # By the debugger: the page's own policy lets no script in.
        page.evaluate(AXE.read_text())
    # What lies partly below a header that stays in view is reached when the page is moved.
    page.evaluate("scrollTo(0, 0)")
    found = []
    for scheme, rules in zip(SCHEMES, (_RULES, _OF_COLOURS), strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.evaluate(_FRAME)
        found += [f"{scheme}: {each}" for each in _violations(page, rules)]
    return found


def _violations(page: Page, rules: dict[str, Any]) -> list[str]:
    found: list[dict[str, Any]] = page.evaluate(_RUN, rules)
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


def look_over(page: Page, url: str, views: Iterable[str]) -> None:
    """Each of these views breaks no rule, narrow and wide, and nothing of it is wider than the window but
    what scrolls by itself."""
    for view in views:
        page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
        page.goto(f"{url}/ui/{view}")
        page.wait_for_selector("h1")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
            found = violations(page)
            assert not found, (view, width, found)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, width)
