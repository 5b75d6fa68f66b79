"""What is deleted and made anew while somebody decides about it: nothing is done to the next of its name."""

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
        yield guarded


def test_a_tenant_is_neither_deleted_nor_bounded_in_place_of_the_one_that_was_meant(
    browser, guarded
):
    guarded.create_tenant("again")
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "tenants?name=again", operator) as page:
        dialog = page.get_by_role("dialog")
        another = dialog.get_by_role("alert").filter(has_text="Another tenant has this name by now")
        dialog.get_by_role("button", name="Delete…").click()
        dialog.get_by_label("Type again to delete it").fill("again")
        assert guarded.operator.delete("/api/tenants/again").status == 204
        guarded.create_tenant("again")
        another.wait_for()
        dialog.get_by_role("button", name="Delete tenant and 1 key").click(force=True)
        assert violations(page) == []
        dialog.get_by_role("button", name="Keep it").click()
        # Before it is seen that it is another one, the act sees it.
        page.get_by_role("button", name="Change limits…").click()
        dialog.get_by_label("Topics").fill("1")
        assert guarded.operator.delete("/api/tenants/again").status == 204
        again = guarded.create_tenant("again")
        dialog.get_by_role("button", name="Change the limit").click()
        dialog.get_by_text("The limits were not changed").wait_for()
        another.wait_for()
        assert again.get("/api/tenant").json["limits"].get("topics") is None
