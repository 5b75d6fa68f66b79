"""A server that is killed and started again under pages that are open: each goes on where it was."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import AWAY, post, settled, watched
from tests.support.server import running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def test_a_server_that_was_killed_is_missed_and_then_all_pages_go_on(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db") as server,
        watched(browser, server) as (overview, watch),
    ):
        watch.meant.append(AWAY)
        post(server, "/api/topics", {"name": "t"})
        overview.get_by_text("Live", exact=True).wait_for()
        overview.get_by_text("Backlog", exact=True).wait_for()
        tail = beside(overview, f"{server.url}/ui/messages?topic=t&read=live")
        playground = beside(overview, f"{server.url}/ui/playground?name=clerk")
        subscribe = playground.get_by_role("button", name="Subscribe", exact=True)
        subscribe.click()
        playground.get_by_text("Subscribed to").wait_for()
        playground.get_by_role("button", name="Publish", exact=True).click()
        ack = playground.get_by_role("button", name="Ack demo 1", exact=True)
        ack.wait_for()
        post(server, "/api/publish", {"topic": "t", "payload": "before"})
        tail.get_by_text('"before"').wait_for()

        server.kill()
        # What was shown is there still, and said to be old.
        overview.get_by_text("Reconnecting: the server cannot be reached").wait_for()
        assert overview.get_by_text("Backlog", exact=True).is_visible()
        assert violations(overview) == []
        tail.get_by_text("Reconnecting: the ").first.wait_for()
        item = playground.get_by_role("region", name="Messages that came").get_by_role("listitem")
        item.first.get_by_text("too late").wait_for()

        server.start()
        # Before the page has come back, as far as that can be: it is owed to it in any case.
        post(server, "/api/publish", {"topic": "t", "payload": "while away"})
        overview.get_by_text("Live", exact=True).wait_for(timeout=60_000)
        tail.get_by_text("The connection is back").wait_for(timeout=60_000)
        tail.get_by_text('"while away"').wait_for()
        assert tail.get_by_text('"before"').count() == 1
        # What was not acked comes again, also to a page that was loaded again.
        playground.get_by_text("Connected").wait_for(timeout=60_000)
        ack.wait_for(timeout=60_000)
        playground.reload()
        subscribe.click()
        ack.click(timeout=60_000)
        item.first.get_by_text("acked").wait_for()
        for page in (overview, tail):
            before = page.url
            page.reload()
            settled(page)
            assert page.url == before


def test_an_overview_that_is_opened_while_the_server_is_away_says_what_is_not_known(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db") as server,
        watched(browser, server, "") as (page, watch),
    ):
        watch.meant.append(AWAY)
        attention = page.get_by_role("region", name="Needs attention")
        stands = page.get_by_role("region", name="Store and nodes")
        attention.get_by_text("Nothing. Good.").wait_for()
        stands.get_by_text("sqlite, durable").wait_for()
        assert stands.locator(".text-ok").count() >= 2
        page.get_by_role("link", name="Topics", exact=True).first.click()
        page.get_by_role("heading", name="Topics", level=1).wait_for()
        server.kill()
        page.get_by_role("link", name="Overview", exact=True).first.click()
        attention.get_by_text("The server does not answer").wait_for()
        attention.get_by_text("What needs attention is not known.").wait_for()
        for said in ("Nothing", "Not looked at"):
            assert attention.get_by_text(said).count() == 0
        stands.get_by_text("It is not known: the server does not answer.").wait_for()
        stands.get_by_text(re.compile(r"as of [0-9:.]+, not known since")).first.wait_for()
        assert stands.locator(".text-ok").count() == 0
        assert violations(page) == []
        server.start()
        attention.get_by_text("Nothing. Good.").wait_for(timeout=60_000)
        stands.locator(".text-ok").first.wait_for()


def test_a_page_whose_code_did_not_come_shows_itself_when_the_server_is_back(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db") as server,
        watched(browser, server) as (page, watch),
    ):
        watch.meant += [AWAY, re.compile("Its code does not come from the server")]
        page.get_by_text("Live", exact=True).wait_for()
        server.kill()
        page.get_by_role("link", name="Tenants", exact=True).first.click()
        page.get_by_role("heading", name="This page failed", level=1).wait_for()
        page.get_by_text("asked for again by itself").wait_for()
        assert violations(page) == []
        # At once, and not with the next question that is due.
        page.get_by_text("Not reached", exact=True).wait_for(timeout=2_000)
        page.evaluate("window.stayed = true")
        server.start()
        page.get_by_role("heading", name="Tenants", level=1).wait_for(timeout=60_000)
        assert page.evaluate("window.stayed")


def test_a_page_that_has_failed_beside_a_server_that_answers_is_not_called_live(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db") as server,
        watched(browser, server) as (page, watch),
    ):
        watch.meant += [re.compile("Its code does not come|net::ERR_FAILED")]
        live = page.get_by_text("Live", exact=True)
        live.wait_for()
        asked: list[str] = []
        page.route("**/assets/tenants-*", lambda route: (asked.append(""), route.abort()))
        page.get_by_role("link", name="Tenants", exact=True).first.click()
        page.get_by_role("heading", name="This page failed", level=1).wait_for()
        live.wait_for(state="detached")
        # Pointed at, clicked, and once by itself: what the server has no more is not asked for without end.
        for _ in range(2):
            with page.expect_response("**/health"):
                pass
        assert 2 <= len(asked) <= 4
        page.get_by_role("link", name="Topics", exact=True).first.click()
        live.wait_for()


def beside(page: Any, url: str) -> Any:
    """Another page of the same browser, that is connected."""
    other = page.context.new_page()
    other.goto(url)
    other.get_by_text("Connected").wait_for()
    return other
