"""Nodes in the dashboard: one alone, and a cluster that asks for keys, of which one is drained."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import opened, settled
from tests.support.access import Signed, guarded_server
from tests.support.nodes import SECRET, node, owned_by
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_node_alone_is_shown_with_what_it_runs_on_and_why_it_cannot_leave(browser, scheme):
    with (
        running_server(DATABASE_URL="sqlite:///x.db", NODE_ID="east-1") as server,
        opened(browser, server, "nodes", color_scheme=scheme, reduced_motion="reduce") as page,
    ):
        page.get_by_role("img", name="The ring: east-1 100.0 %").wait_for()
        page.get_by_text("sqlite", exact=True).wait_for()
        drain = page.get_by_role("button", name="Drain…")
        assert "no other node could take over" in drain.get_attribute("title")
        drain.click(force=True)
        assert page.get_by_role("dialog").count() == 0
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            settled(page)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def signed_in(browser: Any, url: str, key: str) -> Any:
    """The page of nodes, for who has that key."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{url}/ui/nodes")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Nodes").wait_for()
    return page


def test_a_node_of_a_cluster_is_drained_and_serves_again(browser, cluster):
    url = cluster.create_database("node_pages")
    names = ["node-0", "node-1", "node-2"]
    with (
        guarded_server(**node(url, names[0], SECRET)) as first,
        running_server(**node(url, names[1], SECRET), ENABLE_AUTH="true") as second,
        running_server(**node(url, names[2], SECRET), ENABLE_AUTH="true"),
    ):
        api, key = first.operator, first.operator.key
        assert key is not None
        until(lambda: len(api.get("/api/ring").json["nodes"]) == 3)
        until(lambda: all(each["links"] for each in api.get("/api/nodes").json["nodes"]))
        # Some of what node-1 has.
        topic, owned = "t", owned_by(names[1], of=names)
        api.create_topic(topic)
        client = WsClient(second.ws_url)
        client.request("auth", token=key)
        client.subscribe(topic, subscription=owned)
        page = signed_in(browser, first.server.url, key)
        card = page.get_by_role("article", name="node-1")
        card.get_by_text("up", exact=True).first.wait_for()
        page.get_by_role("img", name=re.compile("The ring: node-0 .*node-2")).wait_for()
        assert violations(page) == []
        card.get_by_role("button", name="Drain…").click()
        dialog = page.get_by_role("dialog", name="Drain node-1?")
        dialog.get_by_text("durable subscriptions go to the other nodes").wait_for()
        assert violations(page) == []
        dialog.get_by_role("button", name=re.compile("^Drain node-1")).click()
        dialog.get_by_text("node-1 is draining").wait_for()
        dialog.get_by_role("button", name="Close").last.click()
        card.get_by_text("draining", exact=True).wait_for()
        page.get_by_role("img", name=re.compile("The ring: node-0 [^,]*, node-2 [^,]*$")).wait_for()
        assert client.closed()[0] == 1012
        route = api.get("/api/route", subscription=owned).json["subscription"]
        assert route["node"] in (names[0], names[2])
        # It is as it was after a reload, and is undone.
        page.reload()
        card.get_by_role("button", name="Undrain…").click()
        page.get_by_role("button", name="Undrain node-1").click()
        page.get_by_text("node-1 is up: serving").wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
        card.get_by_text("up", exact=True).first.wait_for()
        until(lambda: len(api.get("/api/ring").json["nodes"]) == 3)
        done = [entry["action"] for entry in api.get("/api/audit").json["entries"]]
        assert {"node.drain", "node.undrain"} <= set(done)
        page.context.close()


def test_who_is_no_operator_is_told_that_nodes_are_not_for_him(browser):
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        key = guarded.create_key("default", "manage")["key"]
        page = signed_in(browser, guarded.server.url, key)
        page.get_by_text("You may not see this").first.wait_for()
        assert Signed(guarded.server.url, key).get("/api/nodes").status == 403
        page.context.close()
