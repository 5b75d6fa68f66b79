"""Nodes in the dashboard: one alone. Those of a cluster are in its stories."""

from __future__ import annotations

import pytest

from tests.browser.axe import look_over
from tests.browser.dashboard import opened, walk_to
from tests.support.server import running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


def test_one_node_alone_is_shown_with_what_it_runs_on_and_why_it_cannot_leave(browser):
    with (
        running_server(DATABASE_URL="sqlite:///x.db", NODE_ID="east-1") as server,
        opened(browser, server, "nodes", reduced_motion="reduce") as page,
    ):
        page.get_by_role("img", name="The ring: east-1 100.0 %").wait_for()
        page.get_by_text("sqlite", exact=True).wait_for()
        drain = page.get_by_role("button", name="Drain…")
        assert "no other node could take over" in drain.get_attribute("title")
        # By keyboard too it is reached, and does nothing.
        walk_to(page, drain)
        page.keyboard.press("Enter")
        assert page.get_by_role("dialog").count() == 0
        look_over(page, server.url, ["nodes"])
