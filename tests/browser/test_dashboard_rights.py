"""Pages of who may not do all: what he cannot do is shown, says why, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import signed_in
from tests.support.access import Guarded, guarded_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        guarded.acting("default").create_topic("t")
        yield guarded


def test_who_may_only_look_is_told_why_he_cannot_do_more(browser, guarded):
    reader = guarded.create_key("default", "subscribe")["key"]
    view = "topics/t?tab=messages&read=live"
    with signed_in(browser, guarded.server, view, reader) as page:
        page.get_by_text("Connected").wait_for()
        for name in ("Purge…", "Delete…"):
            button = page.get_by_role("button", name=name)
            assert "right to manage" in button.get_attribute("title")
            button.click(force=True)
        assert violations(page) == []
        page.get_by_role("link", name="Dead letters", exact=True).last.click()
        page.get_by_text("has not got the right to manage").last.wait_for()
        page.get_by_role("link", name="Playground").click()
        publish = page.get_by_role("button", name="Publish", exact=True)
        publish.wait_for()
        assert "right to publish" in publish.get_attribute("title")
        assert violations(page) == []
        for view, name in (
            ("Dead letters", "Redrive all that match…"),
            ("Subscriptions", "Create subscription"),
        ):
            page.get_by_role("link", name=view, exact=True).first.click()
            button = page.get_by_role("button", name=name)
            button.wait_for()
            assert "right to manage" in button.get_attribute("title")
            button.click(force=True)
            assert violations(page) == []
        page.get_by_role("link", name="Nodes").first.click()
        page.get_by_text("You may not see this").first.wait_for()
        assert violations(page) == []
        assert page.get_by_role("dialog").count() == 0


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
