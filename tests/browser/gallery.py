"""What there is to see of the dashboard: each view with the server that has it, and how one comes to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Act = Callable[[Any], None]

TOPIC = "orders.paid"
FAILING = "invoices"
TENANT = "acme"
KEY = "support desk"
READER = "checkout"


@dataclass(frozen=True)
class View:
    """One picture of each size and theme: what is opened, of which place, and what is done there."""

    path: str
    act: Act | None = None
    place: str = "shop"
    """Which server, and who looks: a name in `tests.browser.places.PLACES`."""
    is_sheet: bool = False
    """Something lies over the page: what is below the window is not part of the picture."""


def press(*names: str) -> Act:
    """Press these buttons, one after the other."""

    def act(page: Any) -> None:
        for name in names:
            page.get_by_role("button", name=name, exact=True).last.click()

    return act


def keys(*pressed: str) -> Act:
    """Press these keys."""

    def act(page: Any) -> None:
        for key in pressed:
            page.keyboard.press(key)

    return act


def fill(label: str, text: str) -> Act:
    """Type into a field."""
    return lambda page: page.get_by_label(label, exact=True).last.fill(text)


def wait(text: str) -> Act:
    """Until something like it is said."""
    return lambda page: page.get_by_text(re.compile(text)).last.wait_for()


def open_row(page: Any) -> None:
    """The first thing of a list."""
    page.locator("main [data-row]").first.click()


def follow(name: str) -> Act:
    """A link on the page."""
    return lambda page: page.locator("main").get_by_role("link", name=name).first.click()


def steps(*acts: Act) -> Act:
    """One after the other."""

    def act(page: Any) -> None:
        for each in acts:
            each(page)

    return act


def _seek(page: Any) -> None:
    press("Seek…")(page)
    page.get_by_label("The oldest message").check()
    press("Preview")(page)
    page.get_by_role("button", name=re.compile("^Seek, and")).wait_for()


def _connect(page: Any) -> None:
    pages = page.get_by_role("button", name="Pages", exact=True)
    if pages.is_visible():
        pages.click()
    press("Connect")(page)


def _secret(page: Any) -> None:
    press("Create key")(page)
    page.get_by_role("textbox", name="Name", exact=True).fill("for a picture")
    page.get_by_role("checkbox", name=re.compile("^subscribe")).check()
    page.get_by_role("dialog").get_by_role("button", name="Create key").click()
    page.locator("[data-secret]").wait_for()


def _played(page: Any) -> None:
    wait("Connected")(page)
    press("Subscribe")(page)
    page.get_by_role("button", name="Unsubscribe").wait_for()
    press("Publish")(page)
    page.get_by_role("button", name="Reject").first.wait_for()


# Name of the file → view.
VIEWS = {
    "overview": View("?range=5m"),
    "topics": View("topics"),
    "topics-none": View("topics?q=nothing-like-it"),
    "topic-create": View("topics", press("Create topic"), is_sheet=True),
    "topic": View(f"topics/{TOPIC}"),
    "topic-messages": View(f"topics/{TOPIC}?tab=messages"),
    "topic-subscriptions": View(f"topics/{TOPIC}?tab=subscriptions"),
    "topic-dead": View(f"topics/{TOPIC}?tab=dead"),
    "topic-settings": View(f"topics/{TOPIC}?tab=settings"),
    "topic-connect": View(f"topics/{TOPIC}?tab=connect"),
    "topic-unknown": View("topics/no-such-topic"),
    "topic-purge": View(f"topics/{TOPIC}", press("Purge…"), is_sheet=True),
    "topic-delete": View(
        f"topics/{TOPIC}",
        steps(press("Delete…"), fill(f"Type {TOPIC} to delete it", TOPIC)),
        is_sheet=True,
    ),
    "messages": View(f"messages?topic={TOPIC}"),
    "message": View(f"messages?topic={TOPIC}", steps(open_row, wait("^Payload$"))),
    "message-filter": View(f"messages?topic={TOPIC}&f=key:Ada%20header.source:web"),
    "messages-live": View("messages?topic=orders.*&read=live", wait("^[1-9][0-9]* a second")),
    "dead-letters": View("dead-letters"),
    "dead-letter": View("dead-letters", steps(open_row, wait("^Payload$"))),
    "dead-letters-chosen": View(
        "dead-letters",
        lambda page: page.get_by_role("checkbox", name=re.compile("^Choose all")).check(),
    ),
    "redrive": View(
        f"dead-letters?subscription={FAILING}",
        steps(press("Redrive all that match…"), wait("would be delivered again")),
        is_sheet=True,
    ),
    "discard": View(
        f"dead-letters?subscription={FAILING}",
        steps(press("Discard all that match…"), wait("would be deleted")),
        is_sheet=True,
    ),
    "subscriptions": View("subscriptions"),
    "subscription-create": View("subscriptions", press("Create subscription"), is_sheet=True),
    "subscription": View(f"subscriptions/{FAILING}"),
    "subscription-subscribers": View(f"subscriptions/{FAILING}?tab=subscribers"),
    "subscription-settings": View(f"subscriptions/{FAILING}?tab=settings"),
    "seek": View(f"subscriptions/{FAILING}", _seek, is_sheet=True),
    "subscription-delete": View(f"subscriptions/{FAILING}", press("Delete…"), is_sheet=True),
    "nodes": View("nodes"),
    "playground": View("playground"),
    "playground-used": View(f"playground?topic={TOPIC}", _played),
    "palette": View("topics", keys("Control+k"), is_sheet=True),
    "keys": View("topics", keys("?"), is_sheet=True),
    "connect": View("topics", _connect, is_sheet=True),
    "auth-off": View("api-keys"),
    "not-found": View("no/such/page"),
    # A server that has just been started.
    "first-visit": View("", place="empty"),
    "empty-topics": View("topics", place="empty"),
    "empty-messages": View("messages", place="empty"),
    "empty-dead-letters": View("dead-letters", place="empty"),
    "empty-subscriptions": View("subscriptions", place="empty"),
    # A server that asks who it is.
    "sign-in": View("", place="door"),
    "api-keys": View("api-keys?keys=all", place="operator"),
    "api-key": View("api-keys", follow(KEY), place="operator"),
    "api-key-create": View("api-keys", press("Create key"), place="operator", is_sheet=True),
    "api-key-secret": View("api-keys", _secret, place="operator", is_sheet=True),
    "api-key-revoke": View(
        "api-keys", steps(follow(KEY), press("Revoke…")), place="operator", is_sheet=True
    ),
    "tenants": View("tenants", place="operator"),
    "tenant": View(f"tenants?name={TENANT}", place="operator"),
    "tenant-create": View("tenants", press("Create tenant"), place="operator", is_sheet=True),
    "audit": View("audit", place="operator"),
    "account": View("topics", press(f"Signed in as {READER}"), place="reader", is_sheet=True),
    "reader-overview": View("", place="reader"),
    "reader-topic": View(f"topics/{TOPIC}", place="reader"),
    "reader-dead-letters": View("dead-letters", place="reader"),
    "reader-nodes": View("nodes", place="reader"),
    # Three nodes.
    "cluster-overview": View("?range=5m", place="cluster"),
    "cluster-nodes": View("nodes", place="cluster"),
    "cluster-drain": View(
        "nodes",
        lambda page: page.get_by_role("button", name="Drain…").last.click(),
        place="cluster",
        is_sheet=True,
    ),
}
