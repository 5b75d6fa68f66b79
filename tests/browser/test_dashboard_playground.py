"""The playground: the first message, acks by hand, and many at a rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import aimed_at, opened, post
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        yield server


def subscribe(page: Any) -> None:
    page.get_by_role("button", name="Subscribe", exact=True).click()
    page.get_by_text("Subscribed to").wait_for()


def inbox(page: Any) -> Any:
    return page.get_by_role("region", name="Messages that came").get_by_role("listitem")


def test_the_first_message_is_published_and_comes(browser, server):
    with opened(browser, server, "playground?name=first") as page:
        page.get_by_text("Connected").wait_for()
        subscribe(page)
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("Published 1, the last one is demo 1").wait_for()
        item = inbox(page).first
        item.wait_for()
        assert '"number": 1' in item.inner_text()
        # A reload in the middle: it is of the same subscription, and what was not acked comes again.
        page.reload()
        page.get_by_text("Connected").wait_for()
        subscribe(page)
        page.get_by_role("button", name="Ack demo 1", exact=True).click()
        item.get_by_text("acked").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("the last one is demo 2").wait_for()
        page.get_by_role("button", name="Ack demo 2", exact=True).wait_for()
        page.get_by_text("Frames as they travel").click()
        frames = page.get_by_role("region", name="Frames").inner_text()
        for type in ("subscribe", "subscribed", "publish", "published", "message", "ack", "acked"):
            assert f'"type":"{type}"' in frames
        assert violations(page) == []


def test_without_a_topic_one_can_be_made_there(browser, server):
    with opened(browser, server, "playground?topic=not.yet") as page:
        page.get_by_text("Connected").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_role("button", name="Create topic not.yet").click()
        page.get_by_text("It is there now").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("the last one is not.yet 1").wait_for()
        # Subscribing makes one too, and then there is nothing to be made.
        page.get_by_label("Topic", exact=True).fill("never.yet")
        page.get_by_role("button", name="Publish", exact=True).click()
        create = page.get_by_role("button", name="Create topic never.yet")
        create.wait_for()
        subscribe(page)
        create.wait_for(state="detached")


def test_a_payload_is_published_to_the_character(browser, server):
    payload = '{"odd": 9007199254740993, "huge": 1e400, "exact": 0.1000}'
    post(server, "/api/topics", {"name": "exact"})
    with opened(browser, server, "playground?topic=exact") as page:
        page.get_by_text("Connected").wait_for()
        page.get_by_label("Payload").fill('{"odd": }')
        page.get_by_text("This is no value (line 1, column 9)").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click(force=True)
        page.get_by_label("Payload").fill(payload)
        # What is wrong is said where it is typed, at the button, and at the command that would go without it.
        page.get_by_label("Headers").fill("trace=7f3a")
        page.get_by_text("Mend the headers first").wait_for()
        assert page.get_by_text("such as trace: 7f3a, not “trace=7f3a”").count() == 2
        assert violations(page) == []
        page.get_by_label("Headers").fill("trace: 7f3a")
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("the last one is exact 1").wait_for()
    body = Api(server.url).get("/api/topics/exact/messages").body.decode()
    assert payload in body
    assert len(json.loads(body)["messages"]) == 1


def test_messages_are_acked_nacked_and_rejected_one_by_one(browser, server):
    post(server, "/api/topics", {"name": "by.hand"})
    with opened(browser, server, "playground?topic=by.hand&name=clerk") as page:
        page.get_by_text("Connected").wait_for()
        subscribe(page)
        page.get_by_label("Times").fill("3")
        page.get_by_role("button", name="Publish 3").click()
        page.get_by_text("Published 3").wait_for()
        page.get_by_role("button", name="Ack by.hand 1", exact=True).click()
        page.get_by_role("button", name="Reject by.hand 2").click()
        page.get_by_role("button", name="Nack by.hand 3").click()
        again = inbox(page).first.get_by_text("in flight, attempt 2").locator("visible=true")
        again.wait_for(timeout=30_000)
        # It says so also where the buttons take its place.
        page.set_viewport_size({"width": 390, "height": 844})
        again.wait_for()
        assert again.count() == 1
        box, row = again.bounding_box(), inbox(page).first.bounding_box()
        assert box["y"] + box["height"] <= row["y"] + row["height"]
        assert violations(page) == []
        page.get_by_role("button", name="Ack by.hand 3", exact=True).click()
        until(lambda: Api(server.url).get("/api/subscriptions/clerk").json["lag"] == 0)
        link = inbox(page).get_by_role("link", name="Dead letter", exact=True)
        assert link.get_attribute("href").endswith("/dead-letters?subscription=clerk&topic=by.hand")
        inbox(page).first.get_by_title("Open the payload").click()
        page.get_by_role("dialog", name="Payload of by.hand 3").get_by_text('"number"').wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("The same from elsewhere").wait_for()
        page.get_by_text("It publishes one message; the page publishes 3").wait_for()
        letters = Api(server.url).get("/api/dlq?subscription=clerk").json["dead_letters"]
        assert [letter["seq"] for letter in letters] == [2]
        page.get_by_role("button", name="Unsubscribe").click()
        page.get_by_role("button", name="Subscribe", exact=True).wait_for()


def test_the_message_under_the_pointer_is_rejected_also_when_another_comes(browser, server):
    api = Api(server.url)
    post(server, "/api/topics", {"name": "still"})
    with opened(browser, server, "playground?topic=still&name=still") as page:
        page.get_by_text("Connected").wait_for()
        subscribe(page)
        api.publish_many("still", [1, 2, 3])
        place = aimed_at(page.get_by_role("button", name="Reject still 2"))
        api.publish("still", 4)
        page.get_by_text("1 new").wait_for()
        page.mouse.click(*place)
        inbox(page).get_by_role("link", name="Dead letter", exact=True).wait_for()
        letters = api.get("/api/dlq?subscription=still").json["dead_letters"]
        assert [letter["seq"] for letter in letters] == [2]
        assert inbox(page).first.get_by_role("link", name="Message still 3").count() == 1
        page.get_by_role("button", name="Bring up to date").click()
        inbox(page).first.get_by_role("link", name="Message still 4").wait_for()
        page.get_by_role("button", name="Unsubscribe").click()
        page.get_by_role("button", name="Subscribe", exact=True).wait_for()


def test_many_are_published_at_a_rate_and_can_be_stopped(browser, server):
    post(server, "/api/topics", {"name": "many"})
    with opened(browser, server, "playground?topic=many&ack=auto") as page:
        page.get_by_text("Connected").wait_for()
        subscribe(page)
        page.get_by_label("Times").fill("200")
        page.get_by_label("A second").fill("500")
        page.get_by_role("button", name="Publish 200").click()
        page.get_by_text("Published 200, the last one is many 200").wait_for()
        page.get_by_text("200 came").wait_for()
        page.get_by_label("Times").fill("10000")
        page.get_by_label("A second").fill("50")
        page.get_by_role("button", name="Publish 10,000").click()
        page.wait_for_timeout(500)
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Publish 10,000").wait_for()
        # What is answered to those before does not count for these.
        page.get_by_label("Times").fill("20")
        page.get_by_role("button", name="Publish 20", exact=True).click()
        page.get_by_text("Published 20, the last one is many").wait_for()
    assert 200 < Api(server.url).get("/api/topics/many").json["last_seq"] < 500
