"""The Overview and ten thousand topics in a real browser, served by a real server."""

from __future__ import annotations

import gzip
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit.server.dashboard.built import DIST, PAGE
from tests.browser.axe import look_over, violations
from tests.browser.dashboard import AWAY, go, opened, post, settled, watched
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

TOPICS_COUNT = 10_000
# Of all scripts that the first page loads, as gzip has them.
SCRIPTS_MAX_BYTES = 250 * 1024
# As a server would have left them.
FILL = f"""
INSERT INTO topics (tenant, name, epoch, created_at_ms, last_seq, stored_bytes)
WITH RECURSIVE n (g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM n WHERE g + 1 < {TOPICS_COUNT})
SELECT 'default', 'sensors.room-' || substr('0000' || g, -5), 'e', 0, 0, 0 FROM n;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    assert (DIST / PAGE).exists(), "make dashboard"
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        post(server, "/api/topics", {"name": "orders.created"})
        for name in ("billing", "held"):
            post(server, "/api/subscriptions", {"name": name, "topic": "orders.*"})
        post(server, "/api/subscriptions/held/pause", {})
        for number in range(30):
            body = {"topic": "orders.created", "payload": {"number": number}}
            post(server, "/api/publish", body)
        with WsClient(server.ws_url) as client:
            client.subscribe("orders.*", subscription="fragile", start="earliest")
            (message, *_) = client.messages(30)
            frame = {"type": "reject", "message_id": message["message_id"]}
            client.send({**frame, "subscription": "fragile", "reason": "no such card"})
            until(lambda: Api(server.url).get("/api/dlq").json["dead_letters"])
        yield server


@pytest.fixture(scope="module")
def large() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        server.kill()
        with sqlite3.connect(Path(server.directory) / "x.db") as connection:
            connection.executescript(FILL)
        server.start()
        body = {"topic": "sensors.room-00003", "payload": 1}
        for _ in range(20):
            post(server, "/api/publish", body)
        yield server


def test_the_first_page_has_scripts_within_their_bound(browser, server):
    with watched(browser, server) as (page, watch):
        page.locator("canvas").first.wait_for()
        settled(page)
        names = {url.rpartition("/")[2] for url in watch.asked if url.endswith(".js")}
    sizes = {name: len(gzip.compress((DIST / "assets" / name).read_bytes())) for name in names}
    assert len(sizes) > 3
    assert sum(sizes.values()) <= SCRIPTS_MAX_BYTES, sizes


def test_a_chart_whose_code_does_not_come_says_so_and_the_page_is_there(browser, server):
    plot = re.compile(r"/assets/Plot-.*\.js$")
    with watched(browser, server, "topics") as (page, watch):
        watch.meant.append(AWAY)
        page.get_by_role("heading", name="Topics", exact=True).wait_for()
        page.route(plot, lambda route: route.abort("connectionrefused"))
        go(page, "o")
        card = page.get_by_role("region", name="Backlog of durable subscriptions")
        card.get_by_text("The chart cannot be drawn").wait_for()
        page.get_by_role("link", name="Nobody is attached to billing").wait_for()
        assert page.locator("canvas").count() == 0
        page.unroute_all()
        card.get_by_role("button", name="Try again").click()
        card.locator("canvas").wait_for()
        page.get_by_text("The chart cannot be drawn").first.wait_for(state="detached")


def test_the_overview_breaks_no_rule_for_people_who_see_or_move_otherwise(browser, server):
    with opened(browser, server, reduced_motion="reduce") as page:
        page.get_by_role("link", name="Nobody is attached to billing").wait_for()
        page.locator("canvas").first.wait_for()
        look_over(page, server.url, [""])


def test_what_needs_attention_says_why_and_leads_to_its_cause(browser, server):
    with opened(browser, server) as page:
        section = page.get_by_role("region", name="Needs attention")
        absent = section.get_by_role("listitem").filter(has_text="Nobody is attached to billing")
        absent.wait_for()
        assert "30 messages wait for it" in absent.inner_text()
        section.get_by_role("link", name="held is paused").wait_for()
        dead = section.get_by_role("listitem").filter(has_text="One dead letter")
        dead.get_by_text("“no such card”").wait_for()
        dead.get_by_role("link").click()
        page.get_by_role("heading", name="Dead letters", level=1).wait_for()
        page.go_back()
        absent.get_by_role("link").click()
        page.wait_for_url(re.compile(r"/ui/subscriptions"))
        page.get_by_text("billing").first.wait_for()


def test_j_and_enter_walk_what_needs_attention(browser, server):
    with opened(browser, server) as page:
        page.get_by_role("link", name="held is paused").wait_for()
        page.locator("body").press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/ui/subscriptions"))


def chosen(page) -> list[str]:
    return page.get_by_label("Range of the charts").locator("[aria-current]").all_inner_texts()


def test_the_range_of_the_charts_is_in_the_address(browser, server):
    with opened(browser, server) as page:
        settled(page)
        assert chosen(page) == ["15m"]
        for range_, interval_s in (("24h", 60), ("5m", 1), ("1h", 5)):
            with page.expect_request(re.compile(rf"interval_s={interval_s}\b")):
                page.get_by_role("link", name=range_, exact=True).click()
            page.wait_for_url(re.compile(rf"range={range_}"))
            assert chosen(page) == [range_]
        page.reload()
        page.wait_for_selector("h1")
        assert chosen(page) == ["1h"]
        page.go_back()
        page.wait_for_url(re.compile(r"range=5m"))


def test_a_part_of_a_chart_that_is_marked_is_in_the_address_until_the_whole_is_wanted(
    browser, server
):
    with opened(browser, server, "?range=5m") as page:
        chart = page.locator("canvas").first
        until(lambda: chart.is_visible())
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        y, left = box["y"] + box["height"] / 3, box["x"] + box["width"]
        page.mouse.move(left - 200, y)
        page.mouse.down()
        page.mouse.move(left - 140, y, steps=4)
        page.mouse.move(left - 60, y, steps=4)
        page.mouse.up()
        page.wait_for_url(re.compile(r"from=\d+.*to=\d+"))
        found = dict(re.findall(r"(from|to)=(\d+)", page.url))
        assert 20 < int(found["to"]) - int(found["from"]) < 200
        page.reload()
        page.wait_for_selector("h1")
        page.get_by_role("link", name="Whole range").click()
        page.wait_for_url(lambda url: "from=" not in url)
        assert chosen(page) == ["5m"]
        # Also by a double click.
        page.goto(f"{server.url}/ui/?range=5m&from={found['from']}&to={found['to']}")
        page.locator(".u-over").first.dblclick()
        page.wait_for_url(lambda url: "from=" not in url)


def test_charts_and_tables_say_the_same_for_who_does_not_see_charts(browser, server):
    with opened(browser, server, "?range=1h") as page:
        card = page.get_by_role("region", name="Backlog of durable subscriptions")
        card.get_by_role("img", name=re.compile(r"Not settled now \d+")).wait_for()
        card.get_by_text("As a table").click()
        card.get_by_role("cell").first.wait_for()
        page.get_by_role(
            "img",
            name=re.compile(r"Publish latency: p50 (?:now|when it was measured last) [\d.]+ m?s"),
        ).wait_for()


# Whether something is drawn in a colour: axes and grid are grey.
HAS_COLOUR = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue, opacity] = data.slice(at, at + 4);
    if (opacity > 200 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) return true;
  }
  return false;
}"""


def test_the_first_steps_tick_themselves_and_go_away(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db") as fresh,
        opened(browser, fresh) as page,
    ):
        steps = page.get_by_role("region", name="First steps")
        done = steps.get_by_role("img", name="Done")
        steps.wait_for()
        assert violations(page) == []
        assert done.count() == 0
        steps.get_by_role("link", name="Create a topic").click()
        page.get_by_role("dialog", name="Create a topic").wait_for()
        page.go_back()
        steps.wait_for()
        post(fresh, "/api/topics", {"name": "demo"})
        until(lambda: done.count() == 1)
        post(fresh, "/api/subscriptions", {"name": "s", "topic": "demo"})
        with WsClient(fresh.ws_url) as client:
            client.subscribe("demo")
            until(lambda: done.count() == 2)
            post(fresh, "/api/publish", {"topic": "demo", "payload": 1})
            steps.wait_for(state="detached")
        page.reload()
        page.wait_for_selector("h1")
        settled(page)
        assert steps.count() == 0
        # One message was published: its latency is a point, for which there is no line.
        chart = page.get_by_role("region", name="Publish latency").locator("canvas")
        until(lambda: chart.count() == 1 and chart.evaluate(HAS_COLOUR))


def test_what_an_open_overview_asks_for_is_little_and_nothing_once_it_is_paused(browser, server):
    with opened(browser, server) as page:
        # The charts have asked for all that is known.
        page.locator("canvas").first.wait_for()
        settled(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(6_000)
        assert len(asked) < 15
        # What is known of a history is not asked for again.
        limits = [int(found) for url in asked for found in re.findall(r"history.*limit=(\d+)", url)]
        assert limits
        assert max(limits) <= 6
        page.get_by_label("How often it is refreshed").select_option("Paused")
        page.wait_for_timeout(300)
        asked.clear()
        page.wait_for_timeout(3_000)
        assert asked == []


def test_ten_thousand_topics_scroll_with_few_rows_and_ask_for_what_is_seen(browser, large):
    with opened(browser, large, "topics") as page:
        settled(page)
        table = page.get_by_role("table", name="Topics")
        body = table.get_by_role("rowgroup").nth(1)
        rows = body.get_by_role("row")
        assert rows.count() < 60
        active = rows.filter(has_text="sensors.room-00003")
        until(lambda: re.search(r"\d\.\d", active.inner_text().split("00003")[1]), within_s=25)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        # To the end, page by page, as fast as it goes.
        last = body.get_by_text("sensors.room-09999")
        until(lambda: scrolled(body) and last.count(), within_s=90)
        # Where that took long, there is beside it of when the list is.
        page.get_by_text(re.compile("^10,000 topics")).wait_for()
        assert rows.count() < 60
        page.wait_for_timeout(1_000)
        named = [url for url in asked if "names=" in url]
        # The rows that were only passed are not asked for.
        assert 1 <= len(named) < 40
        assert "room-09999" in named[-1]


def scrolled(body) -> bool:
    """Whether it is at its end, to which it is moved."""
    return body.evaluate("""element => {
      element.scrollTop = element.scrollHeight;
      return element.scrollTop + element.clientHeight >= element.scrollHeight - 2;
    }""")


def test_a_search_among_ten_thousand_is_the_servers_and_in_the_address(browser, large):
    with opened(browser, large, "topics") as page:
        settled(page)
        page.keyboard.press("/")
        page.keyboard.type("room-0777")
        page.wait_for_url(re.compile(r"q=room-0777"))
        page.get_by_text("10 topics", exact=True).wait_for()
        page.get_by_role("link", name="sensors.room-07770").wait_for()
