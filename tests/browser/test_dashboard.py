"""The dashboard in a real browser, served by a real server: what people see, by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from conduit.server.dashboard.built import DIST, PAGE
from tests.browser.axe import look_over, violations
from tests.browser.dashboard import focused, opened, post, scrolled_to, settled, tab_to
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

# Where keys are asked for there is more on them.
WITH_KEYS = ("api-keys", "tenants", "audit")
VIEWS = (
    "",
    "topics",
    "topics/orders.created",
    "topics/orders.created?tab=settings",
    "topics/orders.created?tab=connect",
    "topics/no-such-topic",
    "messages",
    "dead-letters",
    "subscriptions",
    "nodes",
    "playground",
    *WITH_KEYS,
    "no/such/page",
)
# Button on the page of a topic → the name of the dialog.
DIALOGS = {
    "Keys": "Keys",
    "Connect": "Connect",
    "Go to": "Go to",
    "Purge…": "Purge orders.created?",
    "Delete…": "Delete orders.created?",
}
TOPICS_COUNT = 250


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    assert (DIST / PAGE).exists(), "make dashboard"
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        post(server, "/api/topics", {"name": "orders.created"})
        for number in range(TOPICS_COUNT):
            post(server, "/api/topics", {"name": f"sensors.room-{number:03}"})
        post(server, "/api/subscriptions", {"name": "billing", "topic": "orders.*"})
        post(server, "/api/publish", {"topic": "orders.created", "payload": {"amount": 99.95}})
        yield server


def test_no_view_breaks_a_rule_for_people_who_see_or_move_otherwise(browser, server):
    with opened(browser, server, reduced_motion="reduce") as page:
        look_over(page, server.url, VIEWS)


def test_no_dialog_does_either(browser, server):
    with opened(browser, server, "topics/orders.created") as page:
        settled(page)
        for button, name in DIALOGS.items():
            page.get_by_role("button", name=button, exact=True).click()
            dialog = page.get_by_role("dialog", name=name)
            dialog.wait_for()
            settled(page)
            assert violations(page) == [], name
            page.keyboard.press("Escape")
            dialog.wait_for(state="detached")
        page.goto(f"{server.url}/ui/topics")
        page.get_by_role("button", name="Create topic").click()
        page.get_by_label("Set what it keeps").check()
        assert violations(page) == []
        page.set_viewport_size({"width": 390, "height": 844})
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        page.get_by_role("button", name="Pages").click()
        page.get_by_role("dialog", name="Pages").wait_for()
        assert violations(page) == []


def test_the_theme_is_that_of_the_system_until_another_is_chosen(browser, server):
    with opened(browser, server, color_scheme="dark") as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(colour)
        page.get_by_label("Theme").select_option("light")
        assert page.evaluate(colour) != dark
        page.reload()
        page.wait_for_selector("h1")
        assert page.evaluate(colour) != dark
        page.get_by_label("Theme").select_option("system")
        assert page.evaluate(colour) == dark


def test_the_keyboard_alone_goes_from_the_list_to_a_topic_and_back(browser, server):
    with opened(browser, server) as page:
        page.keyboard.press("g")
        page.keyboard.press("t")
        page.get_by_role("heading", name="Topics").wait_for()
        page.get_by_role("link", name="orders.created").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("room-07")
        page.get_by_text("10 topics").wait_for()
        assert page.url.endswith("/ui/topics?q=room-07")
        page.keyboard.press("Escape")
        # The field is left, and what was searched for stays.
        page.wait_for_timeout(500)
        assert page.get_by_label("Search topics by name").input_value() == "room-07"
        for _ in range(3):
            page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="sensors.room-071").wait_for()
        page.get_by_text("Messages stored").wait_for()
        tab_to(page, page.get_by_role("button", name="Purge…"))
        page.keyboard.press("Enter")
        # A key of the dialog means nothing to the page below.
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        page.get_by_role("heading", name="sensors.room-071").wait_for()
        # Back in what was searched for, at the row that was opened.
        page.keyboard.press("Escape")
        page.get_by_text("10 topics").wait_for()
        focused(page.get_by_role("link", name="sensors.room-071"))
        assert page.url.endswith("/ui/topics?q=room-07")


def test_the_palette_finds_topics_and_pages(browser, server):
    with opened(browser, server) as page:
        page.keyboard.press("Control+k")
        page.get_by_role("dialog", name="Go to").wait_for()
        page.keyboard.type("room-24")
        page.get_by_role("option", name="sensors.room-240").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="sensors.room-241").wait_for()
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill("nodes")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nodes").wait_for()


def test_of_many_topics_only_those_exist_that_are_seen_and_the_rest_comes_in_pages(browser, server):
    with opened(browser, server, "topics") as page:
        scrolled_to(page, "Topics", f"sensors.room-{TOPICS_COUNT - 1:03}")
        page.get_by_text(f"{TOPICS_COUNT + 1} topics").wait_for()


def test_a_topic_is_created_changed_and_deleted_and_the_server_has_done_it(browser, server):
    api = Api(server.url)
    with opened(browser, server, "topics") as page:
        page.get_by_role("button", name="Create topic").click()
        dialog = page.get_by_role("dialog", name="Create a topic")
        dialog.get_by_label("Name").fill("orders created")
        dialog.get_by_text("A name is made of").wait_for()
        dialog.get_by_label("Name").fill("orders.created")
        dialog.get_by_role("button", name="Create topic").click()
        dialog.get_by_text("already exists").or_(dialog.get_by_text("exists already")).wait_for()
        dialog.get_by_label("Name").fill("made.here")
        dialog.get_by_label("Set what it keeps").check()
        dialog.get_by_label("At most how many messages").fill("1000")
        dialog.get_by_role("button", name="Create topic").click()
        page.get_by_role("heading", name="made.here").wait_for()
        assert api.get("/api/topics/made.here").json["retention"]["max_messages"] == 1000
        page.get_by_role("link", name="Settings").click()
        page.get_by_label("At most how old").fill("2 h")
        page.get_by_role("button", name="Save settings").click()
        page.get_by_text("Saved.").wait_for()
        assert api.get("/api/topics/made.here").json["retention"]["max_age_s"] == 7200
        page.reload()
        page.get_by_label("At most how old").wait_for()
        assert page.get_by_label("At most how old").input_value() == "2 h"
        # What was not said has the server's default.
        assert api.get("/api/topics/made.here").json["retention"]["max_bytes"] == 1 << 30
        for n in range(5):
            post(server, "/api/publish", {"topic": "made.here", "payload": n})
        page.get_by_label("At most how many messages").fill("2")
        page.get_by_role("button", name="Save settings").click()
        page.get_by_text("of 5 the oldest 3 go (1 to 3)").wait_for()
        assert api.get("/api/topics/made.here").json["retention"]["max_messages"] == 1000
        page.get_by_role("button", name="Save and remove 3 messages").click()
        page.get_by_text("Saved.").wait_for()
        assert api.get("/api/topics/made.here").json["retention"]["max_messages"] == 2
        page.get_by_role("button", name="Delete…").click()
        remove = page.get_by_role("button", name=re.compile(r"Delete topic and \d messages?"))
        # It can be reached and says why it does nothing.
        remove.click(force=True)
        assert api.get("/api/topics/made.here").status == 200
        page.get_by_label("Type made.here to delete it").fill("made.here")
        answered: list[tuple[Any, Any]] = []
        page.route(
            re.compile(r"/api/topics/made\.here$"),
            lambda route: (
                answered.append((route, route.fetch()))
                if route.request.method == "DELETE"
                else route.continue_()
            ),
        )
        remove.click()
        # The page hears that it is gone before it hears that it was done.
        page.get_by_text("The topic cannot be shown").wait_for()
        page.get_by_role("button", name="Deleting…").wait_for()
        (one,) = answered
        one[0].fulfill(response=one[1])
        page.get_by_role("heading", name="Topics").wait_for()
        page.unroute_all()
        assert api.get("/api/topics/made.here").status == 404


def test_what_needs_attention_says_why_and_leads_there(browser, server):
    with opened(browser, server) as page:
        page.get_by_role("link", name="Nobody is attached to billing").click()
        page.get_by_role("heading", name="billing").wait_for()
        assert page.url.endswith("/ui/subscriptions/billing")


def test_on_a_narrow_screen_pages_and_choices_are_in_a_sheet(browser, server):
    with opened(browser, server) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.get_by_role("button", name="Pages").click()
        sheet = page.get_by_role("dialog", name="Pages")
        sheet.get_by_label("Theme").select_option("dark")
        sheet.get_by_role("link", name="Nodes").click()
        page.get_by_role("heading", name="Nodes").wait_for()
        sheet.wait_for(state="detached")


def test_charts_have_what_they_show_in_words_and_as_a_table(browser, server):
    def has_samples() -> bool:
        return len(Api(server.url).get("/api/stats/history").json["samples"]) > 1

    until(has_samples)
    with opened(browser, server, "?range=5m") as page:
        chart = page.get_by_role("img", name=re.compile("^Messages per second: "))
        chart.wait_for()
        assert chart.locator("canvas").count() == 1
        page.get_by_role("link", name="1h").click()
        page.wait_for_url("**/ui/?range=1h")


def test_a_page_that_is_paused_asks_for_nothing(browser, server):
    with opened(browser, server) as page:
        settled(page)
        page.get_by_label("How often it is refreshed").select_option("Paused")
        page.get_by_text("Paused", exact=True).first.wait_for()
        page.wait_for_timeout(500)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(3_000)
        assert asked == []


def test_single_keys_can_be_switched_off(browser, server):
    with opened(browser, server) as page:
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keys").get_by_role("checkbox").uncheck()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        page.reload()
        page.get_by_role("heading", name="Overview").wait_for()
        page.keyboard.press("g")
        page.keyboard.press("t")
        page.keyboard.press("?")
        page.keyboard.press("Control+k")
        page.get_by_role("dialog", name="Go to").wait_for()
        assert page.get_by_role("heading", name="Topics", exact=True).count() == 0


def test_a_browser_that_asks_for_the_server_comes_to_the_dashboard(browser, server):
    made = browser.new_context()
    page = made.new_page()
    page.goto(server.url)
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.url == f"{server.url}/ui/"
    made.close()


def test_the_page_comes_by_itself_once_it_is_built(browser, tmp_path):
    """As under `make run`, which builds it while the server serves."""
    site = tmp_path / "site"
    package = DIST.parents[2]
    shutil.copytree(package, site / "conduit", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    with running_server(PYTHONPATH=str(site)) as server:
        made = browser.new_context()
        page = made.new_page()
        page.goto(server.url)
        page.get_by_role("heading", name="The dashboard is not built").wait_for()
        (site / "conduit/server/dashboard/dist.new").mkdir()
        page.get_by_role("heading", name="The dashboard is being built").wait_for()
        shutil.copytree(DIST, site / "conduit" / "server" / "dashboard" / "dist")
        page.get_by_role("heading", name="Overview").wait_for()
        made.close()


def test_without_authentication_the_pages_of_keys_say_how_to_have_it(browser, server):
    with opened(browser, server) as page:
        for view in WITH_KEYS:
            page.goto(f"{server.url}/ui/{view}")
            page.get_by_text("Authentication is off").wait_for()
            page.get_by_text("ENABLE_AUTH=true make run").wait_for()
