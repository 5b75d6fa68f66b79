"""Subscriptions in the dashboard: found, paused, moved, changed, made and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.browser.axe import look_over, violations
from tests.browser.dashboard import focused, opened, scrolled_to, tab_to
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

# More than the pages that are asked for again.
COUNT = 310


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db", NODE_ID="east-1") as server:
        api = Api(server.url)
        for number in range(COUNT):
            api.post("/api/subscriptions", {"name": f"many-{number:03}", "topic": "many"})
        yield server


def subscribed(server: RunningServer, name: str, count: int) -> WsClient:
    """A subscriber that has acked so many messages of the topic of that name."""
    client = WsClient(server.ws_url)
    client.subscribe(name, subscription=name)
    Api(server.url).publish_many(name, list(range(count)))
    for message in client.messages(count):
        client.ack(message)
    return client


def test_a_seek_says_what_it_means_before_it_is_done(browser, server):
    api = Api(server.url)
    subscribed(server, "moved", 5).close()
    until(lambda: api.subscription("moved")["lag"] == 0)
    with opened(browser, server, "subscriptions/moved") as page:
        page.get_by_role("button", name="Seek…").click()
        dialog = page.get_by_role("dialog", name="Seek moved")
        dialog.get_by_label("A number").check()
        dialog.get_by_label("Number of the first message").fill("3")
        dialog.get_by_role("button", name="Preview").click()
        dialog.get_by_text("Its lag would be").wait_for()
        # Nobody is attached: nobody has anything.
        assert dialog.get_by_text("What its subscribers have now").count() == 0
        dialog.get_by_text("3 messages that are settled come again.").wait_for()
        dialog.get_by_text("3 again, 0 skipped, lag 3").wait_for()
        assert dialog.get_by_text(re.compile("#6 not published yet")).count() == 1
        assert violations(page) == []
        assert api.subscription("moved")["topics"][0]["floor"] == 5
        # Another start wants another look.
        dialog.get_by_label("The oldest message").check()
        dialog.get_by_role("button", name=re.compile("^Seek, and")).wait_for(state="detached")
        dialog.get_by_role("button", name="Preview").click()
        dialog.get_by_role("button", name="Seek, and deliver 5 again").click()
        dialog.wait_for(state="detached")
        page.get_by_text("5 messages are not settled").wait_for()
        # An hour ago is one of the server's hours, on whatever day this machine thinks it is.
        page.clock.set_system_time(datetime.now(tz=UTC) + timedelta(days=3))
        page.reload()
        page.get_by_role("button", name="Seek…").click()
        dialog.get_by_label("An hour ago").check()
        dialog.get_by_role("button", name="Preview").click()
        dialog.get_by_text("Nothing comes again, and nothing is skipped.").wait_for()
        dialog.get_by_text("0 again, 0 skipped, lag 5").wait_for()
        # What is asked for and was removed is said as well.
        api.post("/api/topics/moved/purge", {})
        dialog.get_by_label("A number").check()
        dialog.get_by_label("Number of the first message").fill("2")
        dialog.get_by_role("button", name="Preview").click()
        dialog.get_by_text("#2 to #5 of “moved” were removed.").wait_for()
    assert api.subscription("moved")["topics"][0]["floor"] == 0
    entries = api.get("/api/audit").json["entries"]
    assert [each["action"] for each in entries[:2]] == ["topic.purge", "subscription.seek"]


def test_a_seek_that_means_more_by_now_says_so_and_is_not_done(browser, server):
    api = Api(server.url)
    api.create_topic("growing")
    api.publish_many("growing", [1, 2])
    api.post("/api/subscriptions", {"name": "grown", "topic": "growing", "start": "earliest"})
    with opened(browser, server, "subscriptions/grown") as page:
        page.get_by_role("button", name="Seek…").click()
        dialog = page.get_by_role("dialog", name="Seek grown")
        dialog.get_by_label("From now on").check()
        dialog.get_by_role("button", name="Preview").click()
        seek = dialog.get_by_role("button", name=re.compile("^Seek, and skip"))
        seek.wait_for()
        api.publish_many("growing", list(range(1_000)))
        seek.click()
        dialog.get_by_role("alert").filter(has_text="nothing was done yet").wait_for()
        # So many want the name typed.
        dialog.get_by_label("Type grown to seek").wait_for()
        assert violations(page) == []
        dialog.get_by_role("button", name="Seek, and skip 1,002").click(force=True)
        assert api.subscription("grown")["lag"] == 1_002
        dialog.get_by_label("Type grown to seek").fill("grown")
        # Who is told that it grows is not told of each message.
        api.publish("growing", "one more")
        seek.click()
        dialog.wait_for(state="detached")
    assert api.subscription("grown")["lag"] == 0


def test_one_is_paused_keeps_what_comes_and_goes_on(browser, server):
    api = Api(server.url)
    with (
        subscribed(server, "paused", 1) as client,
        opened(browser, server, "subscriptions/paused") as page,
    ):
        held: list[Any] = []
        page.route("**/pause", lambda route: held.append(route))
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_role("button", name="Pausing…").wait_for()
        # Until it is answered the page stays, which tells what came of it.
        page.get_by_role("link", name="Topics", exact=True).click()
        page.get_by_text("It has been sent: what came").wait_for()
        (one,) = held
        one.continue_()
        page.unroute_all()
        page.get_by_role("button", name="Resume").wait_for()
        page.get_by_text("paused", exact=True).first.wait_for()
        api.publish("paused", "kept")
        client.nothing(0.2, "message")
        page.get_by_text("1 message is not settled").wait_for()
        page.get_by_role("button", name="Resume").click()
        assert client.messages(1)[0]["payload"] == "kept"
        page.get_by_role("button", name="Pause", exact=True).wait_for()


def test_who_is_attached_is_shown_with_the_node(browser, server):
    with (
        subscribed(server, "seen", 1),
        opened(browser, server, "subscriptions/seen") as page,
    ):
        page.get_by_text("Runs at").wait_for()
        page.get_by_role("link", name="Subscribers").click()
        tabs = page.get_by_role("navigation", name="Of this subscription")
        until(lambda: tabs.locator("[aria-current]").all_inner_texts() == ["Subscribers"])
        page.get_by_text("1 attached: 1 at east-1").wait_for()
        page.get_by_role("cell", name="east-1").wait_for()
        page.wait_for_url("**tab=subscribers")
        current = page.get_by_role("navigation", name="Of this subscription")
        assert current.locator("[aria-current]").all_inner_texts() == ["Subscribers"]
    with opened(browser, server, "subscriptions/many-000?tab=subscribers") as page:
        page.get_by_text("Nobody is attached", exact=True).wait_for()


def test_one_is_made_changed_and_deleted_and_the_server_has_done_it(browser, server):
    api = Api(server.url)
    with opened(browser, server, "subscriptions") as page:
        page.get_by_role("button", name="Create subscription").click()
        dialog = page.get_by_role("dialog", name="Create a subscription")
        dialog.get_by_role("button", name="Create subscription").click()
        dialog.get_by_text("A subscription needs a name.").wait_for()
        dialog.get_by_label("Name").fill("many-001")
        dialog.get_by_label("Topics").fill("orders.*")
        dialog.get_by_role("button", name="Create subscription").click()
        dialog.get_by_text("exists already").or_(dialog.get_by_text("already exists")).wait_for()
        dialog.get_by_label("Name").fill("made.here")
        dialog.get_by_label("Strict order").check()
        dialog.get_by_role("button", name="Create subscription").click()
        page.get_by_role("heading", name="made.here").wait_for()
        assert api.subscription("made.here")["order"] == "strict"
        page.get_by_role("link", name="Settings").click()
        page.get_by_label("Time to ack").fill("2 min")
        page.get_by_label("Attempts").fill("200")
        page.get_by_text("From 1 to 100.").wait_for()
        page.get_by_label("Attempts").fill("9")
        # What somebody else sets meanwhile stays, and is told of what is typed.
        assert (
            api.patch("/api/subscriptions/made.here", {"max_lost": 7, "max_attempts": 3}).status
            == 200
        )
        page.get_by_text("Attempts, now 3").wait_for()
        page.get_by_role("button", name="Save settings").click()
        page.get_by_text("Saved.").wait_for()
        changed = api.subscription("made.here")
        assert (changed["ack_wait_ms"], changed["max_attempts"]) == (120_000, 9)
        assert changed["max_lost"] == 7
        page.get_by_role("button", name="Delete…").click()
        remove = page.get_by_role("button", name="Delete subscription, 0 unsettled")
        remove.click(force=True)
        assert api.get("/api/subscriptions/made.here").status == 200
        page.get_by_label("Type made.here to delete it").fill("made.here")
        remove.click()
        page.get_by_role("heading", name="Subscriptions").wait_for()
    assert api.get("/api/subscriptions/made.here").status == 404


def scroll_to_the_end(page: Any) -> None:
    scrolled_to(page, "Subscriptions", f"many-{COUNT - 1:03}")
    page.get_by_text(f"{COUNT} subscriptions").wait_for()


def test_who_has_scrolled_far_is_told_of_when_the_list_is_and_can_refresh_it(browser, server):
    api = Api(server.url)
    last = f"many-{COUNT - 1:03}"
    with opened(browser, server, "topics/many?tab=subscriptions") as page:
        scroll_to_the_end(page)
        assert page.get_by_text("(as of").count() == 0
        assert api.post(f"/api/subscriptions/{last}/pause", None).status < 300
        page.get_by_text("(as of").wait_for(timeout=60_000)
        row = page.get_by_role("row").filter(has_text=last)
        assert row.get_by_text("paused").count() == 0
        page.get_by_role("button", name="Refresh").click()
        row.get_by_text("paused").last.wait_for()
        page.get_by_text("(as of").wait_for(state="detached")
        assert api.post(f"/api/subscriptions/{last}/resume", None).status < 300


@pytest.mark.parametrize("place", ["subscriptions?q=many", "topics/many?tab=subscriptions"])
def test_of_many_only_those_exist_that_are_seen_and_the_rest_comes_in_pages(browser, server, place):
    with opened(browser, server, place) as page:
        scroll_to_the_end(page)


def test_a_topic_shows_who_follows_it_and_how_far_each_is_in_it(browser, server):
    api = Api(server.url)
    for topic, count in (("two.a", 3), ("two.b", 2)):
        api.create_topic(topic)
        api.publish_many(topic, list(range(count)))
    for name, topic in (("both", "two.*"), ("other", "two.b")):
        body = {"name": name, "topic": topic, "start": "earliest"}
        assert api.post("/api/subscriptions", body).status == 201
    with opened(browser, server, "topics/two.a?tab=subscriptions") as page:
        page.get_by_role("link", name="both").wait_for()
        cells = page.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()
        assert (cells[1], cells[3]) == ("two.*", "3")
        assert page.get_by_role("link", name="other", exact=True).count() == 0
        assert page.get_by_text("1 subscription", exact=True).count() == 1


def test_the_keyboard_alone_goes_to_one_pauses_it_and_comes_back(browser, server):
    api = Api(server.url)
    with opened(browser, server) as page:
        page.keyboard.press("g")
        page.keyboard.press("s")
        page.get_by_role("heading", name="Subscriptions").wait_for()
        page.get_by_role("link", name="many-000").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("many-12")
        page.get_by_text("10 subscriptions").wait_for()
        page.keyboard.press("Escape")
        # The field is left, and what it says is kept.
        assert page.get_by_label("Search subscriptions by name").input_value() == "many-12"
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="many-121").wait_for()
        tab_to(page, page.get_by_role("button", name="Pause", exact=True))
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Resume").wait_for()
        page.keyboard.press("Escape")
        # He is back where he was: in what was searched for, at the row.
        page.get_by_text("10 subscriptions").wait_for()
        focused(page.get_by_role("link", name="many-121"))
    assert api.subscription("many-121")["paused"] is True


def test_the_pages_of_subscriptions_are_for_everybody(browser, server):
    subscribed(server, "read", 2).close()
    views = (
        "subscriptions",
        "subscriptions?q=none",
        "subscriptions/read",
        "subscriptions/read?tab=subscribers",
        "subscriptions/read?tab=settings",
        "subscriptions/no-such",
    )
    with opened(browser, server, reduced_motion="reduce") as page:
        look_over(page, server.url, views)
        page.goto(f"{server.url}/ui/subscriptions/read")
        page.get_by_role("button", name="Delete…").click()
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []
        page.goto(f"{server.url}/ui/subscriptions")
        page.get_by_role("button", name="Create subscription").click()
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []
