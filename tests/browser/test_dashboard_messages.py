"""Messages in the dashboard: found, followed live, linked to, and every number as it was published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import look_over, violations
from tests.browser.dashboard import focused, opened, post, tab_to
from tests.support.http import Api
from tests.support.server import RunningServer, running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

HUGE = b'{"max": 9223372036854775807, "odd": 9007199254740993, "huge": 1e400, "exact": 0.1000}'
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        for name in ("orders.created", "orders.paid", "empty"):
            post(server, "/api/topics", {"name": name})
        post(server, "/api/subscriptions", {"name": "billing", "topic": "orders.*"})
        messages = [
            {
                "topic": "orders.created",
                "payload": {"order": number, "note": "declined" if number == 77 else "fine"},
                "key": f"customer-{number % 10}",
                "headers": {"trace": f"t{number}"},
            }
            for number in range(1, 301)
        ]
        post(server, "/api/publish/batch", {"messages": messages})
        body = b'{"topic":"orders.created","payload":' + HUGE + b"}"
        assert Api(server.url).request("POST", "/api/publish", body, JSON).status == 200
        yield server


def newest(server: RunningServer, topic: str = "orders.created") -> Any:
    path = f"/api/topics/{topic}/messages?order=desc&limit=1"
    return Api(server.url).get(path).json["messages"][0]


def find(page: Any, text: str) -> None:
    page.get_by_label("Find messages").fill(text)
    page.keyboard.press("Enter")


def test_messages_are_found_by_number_key_header_text_time_and_id(browser, server):
    with opened(browser, server, "messages?topic=orders.created") as page:
        page.get_by_text("100 messages, and more").wait_for()
        find(page, "declined")
        page.get_by_text("1 message, that is all").wait_for()
        page.get_by_role("link", name="Message 77", exact=True).wait_for()
        assert "f=declined" in page.url
        find(page, "header.trace:t12 key:customer-2")
        page.get_by_role("link", name="Message 12", exact=True).wait_for()
        page.get_by_role("button", name="Without key:customer-2").click()
        page.get_by_text("1 message, that is all").wait_for()
        find(page, "seq:3")
        page.get_by_text("3 messages, that is all").wait_for()
        find(page, "seq:9999")
        page.get_by_text("There is no message 9999, it is not published yet").wait_for()
        find(page, "before:-1h")
        page.get_by_text("No message matches").wait_for()
        find(page, "foo:bar")
        page.get_by_text('As text it is looked for in quotes: "foo:bar"').wait_for()
        find(page, "after:yesterday")
        page.get_by_text("“yesterday” is no time").wait_for()
        find(page, newest(server)["message_id"])
        page.get_by_role("heading", name="orders.created 301").wait_for()


def test_huge_numbers_are_shown_digit_by_digit_and_copied_so(browser, server):
    id = newest(server)["message_id"]
    with opened(browser, server, f"messages?topic=orders.created&msg={id}") as page:
        detail = page.get_by_role("region", name="The message")
        pretty = detail.get_by_role("region", name="Payload")
        pretty.wait_for()
        for number in ("9223372036854775807", "9007199254740993", "1e400", "0.1000"):
            assert number in pretty.inner_text()
        detail.get_by_role("button", name="Raw").click()
        assert HUGE.decode() in detail.get_by_label("Payload, as it was published").inner_text()
        assert HUGE.decode() in page.get_by_role("table", name="Messages").inner_text()
        for place in ("curl", "Command line", "TypeScript"):
            detail.get_by_role("button", name=place, exact=True).click()
            assert HUGE.decode() in detail.locator("figure").inner_text()
        detail.get_by_role("button", name="Python", exact=True).click()
        assert json.dumps(HUGE.decode()) in detail.locator("figure").inner_text()


def test_a_message_has_an_address_that_leads_back_to_it(browser, server):
    with opened(browser, server, "messages?topic=orders.created&f=declined") as page:
        page.get_by_role("link", name="Message 77", exact=True).click()
        heading = page.get_by_role("heading", name="orders.created 77")
        heading.wait_for()
        page.get_by_text("billing").wait_for()
        page.get_by_text("not delivered yet").wait_for()
        page.reload()
        heading.wait_for()
        page.get_by_role("link", name="Message 77", exact=True).wait_for()
        page.keyboard.press("Escape")
        heading.wait_for(state="detached")
        page.go_back()
        heading.wait_for()


def test_names_that_read_as_numbers_are_names_in_an_address(browser, server):
    with opened(browser, server) as page:
        for name in ("2026.10", "1.0", "1e5", "12345678901234567890"):
            post(server, "/api/topics", {"name": name})
            body = {"topic": name, "payload": 1, "headers": {"__proto__": f"of {name}"}}
            message_id = post(server, "/api/publish", body)["message_id"]
            page.goto(f"{server.url}/ui/messages?topic={name}&msg={message_id}")
            page.get_by_role("heading", name=f"{name} 1", exact=True).wait_for()
            # What is looked for is in the address too, as it was typed.
            find(page, "007")
            page.wait_for_url(f"**topic={name}&**")
            assert "f=007" in page.url
            find(page, "")
            page.get_by_role("link", name="Message 1", exact=True).click()
            page.get_by_text("__proto__", exact=True).wait_for()
            page.get_by_text(f"of {name}", exact=True).wait_for()


def test_the_keyboard_alone_opens_messages_one_after_the_other(browser, server):
    with opened(browser, server, "messages?topic=orders.created") as page:
        page.get_by_text("100 messages, and more").wait_for()
        for key in ("j", "j", "Enter"):
            page.keyboard.press(key)
        page.get_by_role("heading", name="orders.created 300").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="orders.created 299").wait_for()
        # Its action, and back: the row has the focus from which it was opened.
        tab_to(page, page.get_by_role("button", name="curl", exact=True))
        page.keyboard.press("Enter")
        page.get_by_text("/api/publish").first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("heading", name=re.compile("orders.created 2")).wait_for(state="detached")
        focused(page.get_by_role("link", name="Message 299", exact=True))


def test_looking_at_messages_changes_no_delivery(browser, server):
    def progress() -> Any:
        return Api(server.url).get("/api/subscriptions/billing").json

    before = progress()
    with opened(browser, server, "messages?topic=orders.created&read=live") as page:
        page.get_by_text("Connected").wait_for()
        page.get_by_role("button", name="Oldest").click()
        page.get_by_role("link", name="Message 1", exact=True).click()
        page.get_by_role("heading", name="orders.created 1").wait_for()
    assert progress() == before


def test_what_is_published_is_seen_live_and_a_pause_is_one(browser, server):
    with opened(browser, server, "messages?topic=orders.*&read=live") as page:
        page.get_by_text("Connected", exact=True).wait_for()
        post(server, "/api/publish", {"topic": "orders.paid", "payload": {"live": "one"}})
        page.get_by_text('{"live": "one"}').wait_for()
        page.keyboard.press(" ")
        page.get_by_role("button", name="Go on").wait_for()
        post(server, "/api/publish", {"topic": "orders.paid", "payload": {"live": "two"}})
        page.wait_for_timeout(700)
        assert page.get_by_text('{"live": "two"}').count() == 0
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("Connected", exact=True).wait_for()
        post(server, "/api/publish", {"topic": "orders.paid", "payload": {"live": "three"}})
        page.get_by_text('{"live": "three"}').wait_for()
        assert violations(page) == []


def test_a_topic_has_its_messages_subscriptions_and_dead_letters(browser, server):
    with opened(browser, server, "topics/orders.created") as page:
        page.get_by_role("link", name="Subscriptions", exact=True).last.click()
        row = page.get_by_role("row", name=re.compile("billing"))
        row.wait_for()
        assert "301" in row.inner_text()
        row.get_by_role("link", name="billing").click()
        page.wait_for_url("**/subscriptions/billing")
        page.go_back()
        row.wait_for()
        page.get_by_role("link", name="Dead letters", exact=True).last.click()
        page.get_by_text("Nothing is dead. Good.").wait_for()
        current = page.get_by_role("navigation", name="Of this topic").locator("[aria-current]")
        assert current.all_inner_texts() == ["Dead letters"]
        page.get_by_role("link", name="Messages", exact=True).last.click()
        page.get_by_role("link", name="Message 301", exact=True).click()
        page.get_by_role("heading", name="orders.created 301").wait_for()
        page.get_by_role("link", name="billing", exact=True).click()
        page.wait_for_url("**/subscriptions/billing")
        page.go_back()
        page.get_by_role("heading", name="orders.created 301").wait_for()
        # What is open is left first, and then the topic.
        page.keyboard.press("Escape")
        page.get_by_role("heading", name="orders.created 301").wait_for(state="detached")
        page.keyboard.press("Escape")
        page.get_by_role("heading", name="Topics", exact=True).wait_for()


def test_a_topic_is_purged_when_its_name_is_typed_and_another_of_its_name_is_another(
    browser, server
):
    post(server, "/api/topics", {"name": "to.purge"})
    for number in range(3):
        post(server, "/api/publish", {"topic": "to.purge", "payload": number})
    with opened(browser, server, "topics/to.purge?tab=messages") as page:
        page.get_by_text("3 messages, that is all").wait_for()
        page.get_by_role("button", name="Purge…").click()
        purge = page.get_by_role("button", name="Purge 3 messages")
        purge.click(force=True)
        assert Api(server.url).get("/api/topics/to.purge").json["first_seq"] == 1
        assert violations(page) == []
        page.get_by_label("Type to.purge to purge it").fill("to.purge")
        purge.click()
        page.get_by_text("Topic “to.purge” was purged, 3 messages").wait_for()
        page.get_by_text("Nothing is stored in this topic").wait_for()
        assert Api(server.url).get("/api/topics/to.purge").json["first_seq"] == 4
        # Deleted and made anew elsewhere, while the page asks for nothing. It sees that when it goes on.
        pace = page.get_by_label("How often it is refreshed")
        pace.select_option("Paused")
        assert Api(server.url).delete("/api/topics/to.purge").status == 204
        post(server, "/api/topics", {"name": "to.purge"})
        post(server, "/api/publish", {"topic": "to.purge", "payload": "of the new one"})
        pace.select_option("Every 2 s")
        page.get_by_text("of the new one").wait_for()
        # What is decided about one is not done to the next.
        page.get_by_role("button", name="Purge…").click()
        page.get_by_label("Type to.purge to purge it").fill("to.purge")
        assert Api(server.url).delete("/api/topics/to.purge").status == 204
        post(server, "/api/topics", {"name": "to.purge"})
        for number in range(2):
            post(server, "/api/publish", {"topic": "to.purge", "payload": number})
        page.get_by_role("alert").filter(has_text="Another topic has this name by now").wait_for()
        page.get_by_role("button", name="Purge 2 messages").click(force=True)
        assert violations(page) == []
        assert Api(server.url).get("/api/topics/to.purge").json["first_seq"] == 1


def test_no_view_of_messages_breaks_a_rule(browser, server):
    id = newest(server)["message_id"]
    views = (
        "messages?topic=orders.created",
        f"messages?topic=orders.created&msg={id}",
        "messages?topic=orders.created&f=declined",
        "messages?topic=orders.created&f=nothing",
        "messages?topic=orders.created&read=live",
        "messages?topic=orders.*",
        "messages?topic=empty",
        "messages?topic=no-such-topic",
        "messages?msg=01a20504-8136-7409-921c-922a64369347",
        "topics/orders.created?tab=messages",
        "topics/orders.created?tab=subscriptions",
        "topics/orders.created?tab=dead",
        "playground",
    )
    with opened(browser, server, reduced_motion="reduce") as page:
        look_over(page, server.url, views)


def test_a_long_search_says_how_far_it_has_come_and_goes_on_when_asked(browser, server):
    post(server, "/api/topics", {"name": "long"})
    for batch in range(22):
        payloads = ("needle" if batch == 0 else "hay", batch)
        messages = [{"topic": "long", "payload": payloads}] * 1000
        post(server, "/api/publish/batch", {"messages": messages[: 1 if batch == 0 else 1000]})
    with opened(browser, server, "messages?topic=long&f=needle") as page:
        page.get_by_text("0 messages; scanned up to ").wait_for()
        page.get_by_role("button", name="Keep scanning").click()
        page.get_by_text("1 message, that is all").wait_for()
        page.get_by_role("link", name="Message 1", exact=True).wait_for()
