"""The dashboard where keys are asked for."""

from __future__ import annotations

import json

import pytest

from tests.support.http import Api
from tests.support.server import running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def test_where_keys_are_asked_for_one_signs_in_and_the_key_stays_in_the_page(browser):
    with running_server(DATABASE_URL="sqlite:///x.db", ENABLE_AUTH="true") as server:
        key = (server.directory / "conduit-admin-key").read_text().strip()
        made = browser.new_context()
        page = made.new_page()
        page.goto(f"{server.url}/ui/topics")
        page.get_by_role("heading", name="Sign in").wait_for()
        page.get_by_label("API key").fill("ck_live_wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("This key is wrong").wait_for()
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("There are no topics yet").wait_for()
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
        assert key not in page.evaluate(kept)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        made.close()


def test_a_key_that_is_revoked_while_the_page_is_open_ends_there(browser):
    with running_server(DATABASE_URL="sqlite:///x.db", ENABLE_AUTH="true") as server:
        admin = (server.directory / "conduit-admin-key").read_text().strip()
        api, headers = Api(server.url), {"authorization": f"Bearer {admin}"}
        wanted = json.dumps({"name": "a person", "scopes": [{"scope": "subscribe"}]}).encode()
        made = api.request("POST", "/api/keys", wanted, headers).json
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/ui/topics")
        page.get_by_label("API key").fill(made["key"])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("There are no topics yet").wait_for()
        # What the key may not do says so, and does nothing.
        create = page.get_by_role("button", name="Create topic").first
        assert "right to manage" in create.get_attribute("title")
        create.click(force=True)
        assert page.get_by_role("dialog").count() == 0
        api.request("DELETE", f"/api/keys/{made['id']}", None, headers)
        page.get_by_text("This key is wrong, or not good any more").wait_for()
        context.close()
