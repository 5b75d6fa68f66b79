"""A real server with authentication, the keys of its tenants, and what a tenant has that others might want.

How keys are spelled is said here once more, apart from the code that checks them.
"""

from __future__ import annotations

import contextlib
import secrets
import string
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.support.http import Answer, Api, accepted
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ADMIN_KEY_FILE = "admin-key"
ALL_SCOPES = ("publish", "subscribe", "manage")
HOUR_S = 3_600
NODE = "server-of-tests"


class Signed(Api):
    """The API as somebody sees it. `tenant`: an operator acts for that one."""

    def __init__(self, url: str, key: str | None, tenant: str | None = None) -> None:
        super().__init__(url)
        self.url = url
        self.key = key
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        if tenant is not None:
            self.headers["X-Conduit-Tenant"] = tenant

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        return super().request(method, path, body, {**self.headers, **(headers or {})})

    def socket(self) -> WsClient:
        """A WebSocket that has signed in with the key."""
        client = WsClient(f"{self.url.replace('http', 'ws', 1)}/ws")
        client.request("auth", token=self.key)
        return client


class Guarded:
    """A server with authentication, as its operator has it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        key = (server.directory / ADMIN_KEY_FILE).read_text().strip()
        self.operator = Signed(server.url, key)
        self.actor = f"key:{id_of(key)}"
        """The operator, as the audit log has it."""

    def acting(self, tenant: str) -> Signed:
        """The operator, in that tenant."""
        return Signed(self.server.url, self.operator.key, tenant)

    def signed(self, key: str | None) -> Signed:
        """Who has this credential."""
        return Signed(self.server.url, key)

    def create_tenant(self, name: str, **limits: int) -> Signed:
        """A new tenant; as a key of it with all rights sees it."""
        accepted(self.operator.post("/api/tenants", {"name": name, "limits": limits}), 201)
        return self.signed(self.create_key(name)["key"])

    def create_key(
        self, tenant: str, *scopes: str, topics: list[str] | None = None, **more: object
    ) -> dict[str, Any]:
        """A new key of the tenant, with all rights unless some are named."""
        grants: list[dict[str, object]] = [{"scope": scope} for scope in scopes or ALL_SCOPES]
        if topics is not None:
            grants = [{**grant, "topics": topics} for grant in grants]
        body = {"name": "a key", "scopes": grants, **more}
        return accepted(self.acting(tenant).post("/api/keys", body), 201)


@contextlib.contextmanager
def guarded_server(**settings: str) -> Iterator[Guarded]:
    """A real server with authentication; its log must have no traceback at the end."""
    settings = {
        "ENABLE_AUTH": "true",
        "CONDUIT_ADMIN_KEY_FILE": ADMIN_KEY_FILE,
        "NODE_ID": NODE,
        **settings,
    }
    with running_server(**settings) as server:
        yield Guarded(server)
        assert server.alive
        assert "Traceback" not in server.log_text(), server.log_tail()


# Keys that are none -------------------------------------------------------------------------------


def spelled(key_id: str, secret: str) -> str:
    """A key of this id and secret, with its right check."""
    front = f"ck_live_{key_id}_{secret}"
    number, digits = zlib.crc32(front.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return front + digits


def random_text(length: int) -> str:
    """Characters that keys are made of."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def secret_of(key: str) -> str:
    """The secret in a key, without the check."""
    return key.rpartition("_")[2][:-6]


def id_of(key: str) -> str:
    """The public part of a key."""
    return key.split("_")[2]


def revoked(guarded: Guarded, tenant: str) -> str:
    """A key that was good."""
    made = guarded.create_key(tenant)
    accepted(guarded.acting(tenant).delete(f"/api/keys/{made['id']}"))
    return str(made["key"])


def expired(guarded: Guarded, tenant: str) -> str:
    """A key whose time is over."""
    made = guarded.create_key(tenant, ttl_s=0.05)
    until(lambda: guarded.signed(made["key"]).get("/api/whoami").status == 401)
    return str(made["key"])


def rotated_out(guarded: Guarded, tenant: str) -> str:
    """A secret that was good, of a key that has another one."""
    made = guarded.create_key(tenant)
    path = f"/api/keys/{made['id']}/rotate"
    accepted(guarded.acting(tenant).post(path, {"overlap_s": 0}))
    return str(made["key"])


def of_a_deleted_tenant(guarded: Guarded) -> str:
    """A key of a tenant that was."""
    name = f"gone-{uuid.uuid4().hex[:8]}"
    gone = guarded.create_tenant(name)
    assert guarded.operator.delete(f"/api/tenants/{name}").status == 204
    assert gone.key is not None
    return gone.key


def bad_credentials(guarded: Guarded, good: Signed, tenant: str) -> dict[str, dict[str, str]]:
    """Headers that say who somebody is, and are not good; each by what is wrong with them."""
    assert good.key is not None
    other = str(guarded.create_key(tenant)["key"])
    secret = secret_of(good.key)
    changed = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    keys = {
        "empty": "",
        "not a key": "x" * 40,
        "the check is wrong": good.key[:-1] + ("a" if good.key[-1] != "a" else "b"),
        "the secret is wrong": spelled(id_of(good.key), changed),
        "no such id": spelled(random_text(8), secret),
        "the secret of another id": spelled(id_of(other), secret),
        "expired": expired(guarded, tenant),
        "revoked": revoked(guarded, tenant),
        "rotated out": rotated_out(guarded, tenant),
        "its tenant is gone": of_a_deleted_tenant(guarded),
        "too long": good.key + "x" * 9_000,
    }
    headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
    return {
        "none": {},
        "another scheme": {"Authorization": f"Basic {good.key}"},
        "X-API-Key": {"X-API-Key": keys["no such id"]},
        **headers,
    }


# What a tenant has --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """Names and ids of things: of those that a tenant has, or of none, spelled alike."""

    tenant: str
    topic: str
    subscription: str
    message: str
    letter: str
    job: str
    key: str
    epoch: str
    fresh: str
    """Of what is not there yet."""
    node: str = NODE
    """Of the server, and so nobody's."""

    def put(self, template: Any) -> Any:
        """The template with the names in their places."""
        if isinstance(template, str):
            return template.format(**vars(self))
        if isinstance(template, dict):
            return {self.put(name): self.put(value) for name, value in template.items()}
        if isinstance(template, list):
            return [self.put(each) for each in template]
        return template

    def hidden(self, text: str) -> str:
        """The text with what stands for each name in its place: what is left says nothing of them."""
        # The longer ones first: a tenant's name may be a part of them.
        for name, value in sorted(vars(self).items(), key=lambda each: -len(each[1])):
            text = text.replace(value, f"<{name}>")
        return text

    def like(self) -> Names:
        """Names of nothing, as long as these."""
        return replace(
            self,
            tenant=_another(self.tenant),
            topic=_another(self.topic),
            subscription=_another(self.subscription),
            message=_another_id(self.message),
            letter=_another_id(self.letter),
            job=_another_id(self.job),
            key=random_text(8),
            epoch=_another(self.epoch),
            fresh=_another(self.fresh),
            node=_another(self.node),
        )


def _another(name: str) -> str:
    return "".join(
        secrets.choice(string.ascii_lowercase + string.digits) if char.isalnum() else char
        for char in name
    )


def _another_id(an_id: str) -> str:
    """One of the same time."""
    return an_id[:-12] + secrets.token_hex(6)


def furnish(api: Signed, tenant: str) -> Names:
    """Give the tenant one of each thing there is, and some progress and deaths."""
    mark = f"{tenant}x{uuid.uuid4().hex[:6]}"
    topic, subscription = f"{mark}.orders", f"{mark}-billing"
    epoch = api.create_topic(topic)["epoch"]
    settings = {"name": subscription, "topic": topic, "ack_wait_ms": HOUR_S * 1000}
    accepted(api.post("/api/subscriptions", settings), 201)
    with api.socket() as socket:
        socket.subscribe(topic, subscription=subscription)
        api.publish_many(topic, [f"{mark}-payload-{n}" for n in range(2)])
        first, second = socket.messages(2)
        socket.ack(first)
        socket.request("reject", message_id=second["message_id"], reason=f"{mark}-reason")
    until(lambda: api.subscription(subscription)["subscribers"] == 0)
    receipt = api.publish(topic, f"{mark}-payload-2", key=mark, headers={"of": mark})
    (letter,) = api.dead_letters(topic=topic)
    job = accepted(api.post("/api/dlq/redrive", {"topic": f"{mark}.nothing"}))
    until(lambda: api.get(f"/api/dlq/jobs/{job['id']}").json["state"] == "done")
    body = {"name": f"{mark}-key", "scopes": [{"scope": "publish", "topics": [f"{mark}.>"]}]}
    key = accepted(api.post("/api/keys", body), 201)
    return Names(
        tenant=tenant,
        topic=topic,
        subscription=subscription,
        message=receipt["message_id"],
        letter=letter["id"],
        job=job["id"],
        key=key["id"],
        epoch=epoch,
        fresh=f"{mark}.fresh",
    )


def view(api: Signed, but: str = "") -> dict[str, Any]:
    """All that a tenant's key with all rights can see, but for the statistics, and what this actor did."""
    seen: dict[str, Any] = {}

    def look(path: str) -> Any:
        seen[path] = accepted(api.get(path))
        return seen[path]

    for topic in look("/api/topics?limit=500")["topics"]:
        look(f"/api/topics/{topic['name']}")
        for message in look(f"/api/topics/{topic['name']}/messages?limit=1000")["messages"]:
            look(f"/api/messages/{message['message_id']}")
    for found in look("/api/subscriptions?limit=500")["subscriptions"]:
        look(f"/api/subscriptions/{found['name']}")
        look(f"/api/subscriptions/{found['name']}/topics")
    look("/api/dlq/jobs")
    for letter in look("/api/dlq?limit=500")["dead_letters"]:
        look(f"/api/dlq/{letter['id']}")
    keys = accepted(api.get("/api/keys?limit=500"))["keys"]
    seen["/api/keys"] = [
        # Looking uses a key.
        {**key, "last_used_at": None}
        for key in keys
        if key["created_by"] != but
    ]
    entries = accepted(api.get("/api/audit?limit=500"))["entries"]
    seen["/api/audit"] = [entry for entry in entries if entry["actor"] != but]
    return seen
