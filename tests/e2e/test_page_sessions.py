"""Sessions of pages at real servers: at other nodes, after a restart, and when their key ends."""

import itertools
import time

import pytest

from tests.support.access import ADMIN_KEY_FILE, Guarded, Signed, guarded_server
from tests.support.http import Api, accepted
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

ENDS_WITHIN_S = 5.0
PEPPER = "a-pepper-of-the-tests-of-sessions"
SECRET = "a-secret-of-nodes-in-tests-of-sessions"
_numbers = itertools.count(1)


class Page(Api):
    """What a page of the dashboard asks, with its cookie."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url)
        answer = Signed(url, key).post("/api/session", {})
        accepted(answer, 201)
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def at(self, url: str) -> "Page":
        """The same page, of which another server is asked."""
        other = Page.__new__(Page)
        Api.__init__(other, url)
        other.cookie = self.cookie
        return other

    def request(self, method, path, body=None, headers=None):
        own = {"Cookie": self.cookie, "X-Conduit-Session": "1"}
        return super().request(method, path, body, {**own, **(headers or {})})

    @property
    def is_signed_in(self) -> bool:
        return self.get("/api/whoami").status == 200


def node(url: str, name: str):
    return running_server(
        DATABASE_URL=url,
        NODE_ID=name,
        ENABLE_AUTH="true",
        INTERNAL_SECRET=SECRET,
        CONDUIT_ADMIN_KEY_FILE=ADMIN_KEY_FILE,
    )


@pytest.fixture
def pair(cluster):
    url = cluster.create_database(f"pages_{next(_numbers)}")
    with node(url, "a") as a, node(url, "b") as b:
        operator = Guarded(a).operator
        until(lambda: states(operator) == ["up", "up"])
        until(lambda: not accepted(operator.get("/api/nodes")).get("unanswered"))
        yield a, b


def states(operator: Signed) -> list[str]:
    return [each["state"] for each in accepted(operator.get("/api/nodes"))["nodes"]]


def test_a_session_begun_at_one_node_counts_at_the_other_at_once(pair: tuple[RunningServer, ...]):
    a, b = pair
    guarded = Guarded(a)
    for _ in range(3):
        # A key that the other one has not heard of yet.
        page = Page(a.url, guarded.create_key("default")["key"])
        assert page.at(b.url).is_signed_in


def test_a_key_that_is_revoked_or_rotated_ends_its_sessions_at_all_nodes(pair):
    a, b = pair
    guarded = Guarded(a)
    for act in ("revoke", "rotate"):
        made = guarded.create_key("default")
        here = Page(a.url, made["key"])
        there = here.at(b.url)
        assert there.is_signed_in
        path = f"/api/keys/{made['id']}"
        if act == "revoke":
            accepted(guarded.operator.delete(path))
        else:
            accepted(guarded.operator.post(f"{path}/rotate", {"overlap_s": 3_600}))
        began = time.monotonic()
        assert not here.is_signed_in
        until(lambda there=there: not there.is_signed_in)
        assert time.monotonic() - began < ENDS_WITHIN_S


def test_who_signs_out_at_one_node_has_signed_out_at_the_other(pair):
    a, b = pair
    page = Page(a.url, Guarded(a).create_key("default")["key"])
    there = page.at(b.url)
    assert there.is_signed_in
    assert page.delete("/api/session").status == 204
    assert not page.is_signed_in
    assert not there.is_signed_in


def test_who_signed_out_while_a_node_was_gone_has_signed_out_there_once_it_is_linked(pair):
    a, b = pair
    page = Page(a.url, Guarded(a).create_key("default")["key"])
    b.terminate()
    assert page.delete("/api/session").status == 204
    b.start()
    until(lambda: not page.at(b.url).is_signed_in)


def test_a_session_goes_on_after_a_restart_and_its_sign_in_is_in_the_audit_log(tmp_path):
    settings = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/conduit.db",
        "ENABLE_AUTH": "true",
        "CONDUIT_ADMIN_KEY_FILE": str(tmp_path / "admin-key"),
        "CONDUIT_KEY_PEPPER": PEPPER,
    }
    with running_server(**settings) as server:
        key = (tmp_path / "admin-key").read_text().strip()
        page = Page(server.url, key)
    with running_server(**settings) as server:
        page = page.at(server.url)
        assert page.is_signed_in
        entries = accepted(page.get("/api/audit", action="session.begin"))["entries"]
        assert [entry["target"] for entry in entries] == [key.split("_")[2]]
        log = server.log_text()
        assert page.cookie.partition("=")[2] not in log
        assert key not in log


def test_no_secret_of_a_sign_in_is_in_the_log():
    with guarded_server() as guarded:
        page = Page(guarded.server.url, guarded.operator.key)
        page.cookie += "x"
        assert not page.is_signed_in
        assert guarded.signed("ck_live_wrong").post("/api/session", {}).status == 401
        assert page.cookie.partition("=")[2][:20] not in guarded.server.log_text()
