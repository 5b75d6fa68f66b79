"""Pages of who may not do all: what he cannot do is shown, says why, and does nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import settled, signed_in
from tests.support.access import Guarded, guarded_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

OWN = "orders.a"
# What describes a button, for who hears it.
REASONS = """
(button) => [button.getAttribute("aria-describedby")].flat().map(
  (id) => document.getElementById(id)?.textContent)
"""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        api = guarded.signed(guarded.create_key("default")["key"])
        api.create_topic("empty")
        for topic, name in ((OWN, "own"), ("t", "others")):
            api.create_topic(topic)
            with api.socket() as socket:
                socket.subscribe(topic, subscription=name)
                api.publish(topic, 1)
                (frame,) = socket.messages(1)
                socket.request("reject", message_id=frame["message_id"], reason=f"of {topic}")
        yield guarded


@contextlib.contextmanager
def nothing_refused(page: Any) -> Iterator[None]:
    """What may not be seen is not asked for."""
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    yield
    settled(page)
    assert refused == []


def unable(page: Any, name: str) -> str:
    """Why the button with this name does nothing."""
    button = page.get_by_role("button", name=name, exact=True)
    button.wait_for()
    button.click(force=True)
    assert page.get_by_role("dialog").count() == 0
    (reason,) = button.evaluate(REASONS)
    assert button.get_attribute("title") == reason
    return str(reason)


def test_who_may_only_look_is_told_why_he_cannot_do_more(browser, guarded):
    reader = guarded.create_key("default", "subscribe")["key"]
    view = "topics/t?tab=messages&read=live"
    with signed_in(browser, guarded.server, view, reader) as page, nothing_refused(page):
        page.get_by_text("Connected").wait_for()
        for name in ("Purge…", "Delete…"):
            assert "no scope manage" in unable(page, name)
        assert violations(page) == []
        for tab in ("Subscriptions", "Dead letters"):
            page.get_by_role("link", name=tab, exact=True).last.click()
            page.locator("main").get_by_text("no scope manage.").locator(
                "visible=true"
            ).last.wait_for()
        page.get_by_role("link", name="Playground").click()
        assert "no scope publish" in unable(page, "Publish")
        assert violations(page) == []
        for view, name in (
            ("Dead letters", "Redrive all that match…"),
            ("Subscriptions", "Create subscription"),
        ):
            page.get_by_role("link", name=view, exact=True).first.click()
            assert "no scope manage" in unable(page, name)
            page.locator("main").get_by_text("no scope manage.").locator(
                "visible=true"
            ).last.wait_for()
            assert violations(page) == []
        for view, right in (("Nodes", "admin"), ("Overview", "manage")):
            page.get_by_role("link", name=view).first.click()
            page.locator("main").get_by_text(f"no scope {right}.").locator(
                "visible=true"
            ).last.wait_for()
            assert violations(page) == []
        # Of what may be seen.
        page.get_by_role("heading", name="Busiest topics").wait_for()
        assert page.get_by_role("alert").count() == 0


def test_a_key_for_some_topics_is_shown_what_is_of_them(browser, guarded):
    key = guarded.create_key("default", "manage", topics=["orders.>"])["key"]
    with signed_in(browser, guarded.server, "dead-letters", key) as page:
        with nothing_refused(page):
            rows = page.locator("main [data-row]")
            rows.get_by_text(f"of {OWN}").wait_for()
            assert rows.count() == 1
            said = unable(page, "Discard all that match…")
            assert "for all topics is needed. The key has it only for orders.>" in said
            page.get_by_role("link", name=f"of {OWN}").first.click()
            page.get_by_role("button", name="Discard all that match…").click()
            page.get_by_text("1 dead letter would be deleted").wait_for()
            page.keyboard.press("Escape")
            page.goto(f"{guarded.server.url}/ui/dead-letters?topic=t")
            page.locator("main").get_by_text("for orders.> alone, and not for t.").last.wait_for()
            page.goto(f"{guarded.server.url}/ui/topics/t")
            page.get_by_text("may read orders.> alone, and not t.").wait_for()
            page.goto(f"{guarded.server.url}/ui/subscriptions/own")
            page.get_by_role("button", name="Pause").click()
            page.get_by_role("button", name="Resume").wait_for()
        page.goto(f"{guarded.server.url}/ui/subscriptions/others")
        page.get_by_text("its scope manage is for other topics").wait_for()
        assert page.get_by_role("alert").count() == 0


def test_the_playground_connects_by_a_ticket_and_the_key_is_in_no_address(browser, guarded):
    key = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "topics", key) as page:
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.get_by_role("link", name="Playground").first.click()
        page.get_by_text("Connected").wait_for()
        page.get_by_role("button", name="Subscribe", exact=True).click()
        page.get_by_text("Subscribed to").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("the last one is demo 1").wait_for()
        assert [url.partition("?")[2].startswith("ticket=ct_") for url in sockets] == [True]
        assert not [url for url in sockets if key in url]


def test_who_manages_some_topics_is_told_of_which_a_list_is(browser, guarded):
    """That there is nothing is not said of what he may not see."""
    key = guarded.create_key("default", "manage", topics=["t.>", "empty"])["key"]
    with signed_in(browser, guarded.server, "topics", key) as page, nothing_refused(page):
        said = page.get_by_text("that your key may manage: t.>, empty.")
        for view, what in (
            ("dead-letters", "Nothing is dead that your key may manage"),
            ("subscriptions", "There are no durable subscriptions that your key may manage"),
            ("topics/empty?tab=subscriptions", "No durable subscription that your key may manage"),
        ):
            page.goto(f"{guarded.server.url}/ui/{view}")
            page.get_by_text(what).wait_for()
            assert said.count() == 1
