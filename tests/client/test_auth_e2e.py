"""The client beside a server with authentication."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from conduit.client import ApiError, AsyncConduit, Grant, KeyCreated
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

# Revocation has to reach a socket within this.
CLOSED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(ENABLE_AUTH="true", DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


@pytest.fixture(scope="module")
def admin_key(server: RunningServer) -> str:
    """The operator's, which the first start has made."""
    return (server.directory / "conduit-admin-key").read_text().strip()


@pytest.fixture
async def admin(server: RunningServer, admin_key: str):
    async with AsyncConduit(server.url, api_key=admin_key) as client:
        yield client


@pytest.fixture
async def tenant(admin: AsyncConduit, request: pytest.FixtureRequest) -> str:
    """A tenant of the test's own, with a topic `t`."""
    name = f"t{abs(hash(request.node.name)):x}"
    await admin.tenants.create(name)
    return name


@pytest.fixture
async def manager(server: RunningServer, admin_key: str, tenant: str):
    """The operator in that tenant."""
    async with AsyncConduit(server.url, api_key=admin_key, tenant=tenant) as client:
        await client.topics.create("t")
        yield client


async def new_key(manager: AsyncConduit, *scopes: Grant | str, **more: object) -> KeyCreated:
    return await manager.keys.create("of a test", scopes or ("publish", "subscribe"), **more)


def is_refused(server: RunningServer, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return Api(server.url).request("GET", "/api/whoami", headers=headers).status == 401


async def test_without_a_key_nothing_is_let_in(server: RunningServer) -> None:
    for key in (None, "ck_live_abcd1234_0123456789abcdefghijklmnopqrstuv012345", "a.b.c"):
        async with AsyncConduit(server.url, api_key=key) as client:
            for work in (client.publish("t", 1), client.subscribe("t").__aenter__()):
                with pytest.raises(ApiError) as raised:
                    await work
                assert (raised.value.code, raised.value.status) == ("unauthenticated", 401)


async def test_a_key_does_what_it_is_for_and_nothing_else(
    server: RunningServer, manager: AsyncConduit, tenant: str
) -> None:
    grants = (
        Grant(scope="publish", topics=("t",)),
        Grant(scope="subscribe", topics=("t",), subscriptions=("billing",)),
    )
    key = await new_key(manager, *grants, ttl_s=600)
    async with AsyncConduit(server.url, api_key=key.key) as client:
        who = await client.whoami()
        assert (who.tenant, who.key_id, tuple(who.scopes)) == (tenant, key.id, grants)
        async with client.subscribe("t", "billing") as stream:
            await client.publish("t", 1)
            delivery = await anext(stream)
            await delivery.ack()
        refused = (
            client.publish("other", 1),
            client.subscribe("t", "another").__aenter__(),
            client.subscribe(">").__aenter__(),
            client.topics.create("other"),
            client.keys.create("more", ["manage"]),
            anext(client.tenants.find()),
            anext(client.audit()),
        )
        for work in refused:
            with pytest.raises(ApiError) as raised:
                await work
            assert (raised.value.code, raised.value.status) == ("forbidden", 403)


async def test_a_key_that_is_revoked_ends_its_streams_for_good(
    server: RunningServer, manager: AsyncConduit
) -> None:
    key = await new_key(manager)
    async with (
        AsyncConduit(server.url, api_key=key.key) as client,
        client.subscribe("t") as stream,
    ):
        await manager.keys.revoke(key.id)
        async with asyncio.timeout(CLOSED_WITHIN_S):
            for _ in range(2):
                with pytest.raises(ApiError) as raised:
                    await anext(stream)
        assert (raised.value.code, raised.value.status) == ("unauthenticated", 401)
        with pytest.raises(ApiError):
            await client.publish("t", 1)
    assert (await manager.keys.get(key.id)).revoked_at is not None


async def test_a_stream_goes_on_over_a_key_that_is_rotated(
    server: RunningServer, manager: AsyncConduit, caplog: pytest.LogCaptureFixture
) -> None:
    key = await new_key(manager)
    current = key.key
    async with (
        AsyncConduit(server.url, api_key=lambda: current) as client,
        client.subscribe("t", "worker") as stream,
    ):
        current = (await manager.keys.rotate(key.id, overlap_s=0)).key
        # The socket of the secret before is closed, and the client knows the next one.
        await asyncio.to_thread(until, lambda: "connecting again" in caplog.text)
        await client.publish("t", 1)
        delivery = await anext(stream)
        assert delivery.payload == 1
        await delivery.ack()


@pytest.mark.parametrize("kind", ["keys", "tokens"])
async def test_a_stream_outlives_what_it_has_signed_in_with(
    server: RunningServer, manager: AsyncConduit, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    key = (await new_key(manager)).key
    made: list[str] = []

    async def fresh() -> str:
        ttl_s = 600 if made else 8
        if kind == "keys":
            made.append((await new_key(manager, ttl_s=ttl_s)).key)
        else:
            async with AsyncConduit(server.url, api_key=key) as mint:
                made.append((await mint.tokens.create(["publish", "subscribe"], ttl_s)).token)
        return made[-1]

    async with (
        AsyncConduit(server.url, api_key=fresh) as client,
        client.subscribe("t") as stream,
    ):
        await asyncio.to_thread(until, lambda: is_refused(server, made[0]))
        await client.publish("t", 1)
        assert (await anext(stream)).payload == 1
    # By a frame on the open socket: no connection was lost.
    assert len(made) == 2
    assert "connecting again" not in caplog.text


async def test_a_token_does_a_part_of_what_its_key_does_and_ends_with_it(
    server: RunningServer, manager: AsyncConduit, tenant: str
) -> None:
    key = await new_key(manager)
    async with AsyncConduit(server.url, api_key=key.key) as client:
        made = await client.tokens.create([Grant(scope="publish", topics=("t",))], subject="ann")
        with pytest.raises(ApiError) as raised:
            await client.tokens.create(["manage"])
        assert raised.value.code == "forbidden"
        assert (await client.tickets.create()).ticket
    async with AsyncConduit(server.url, api_key=made.token) as client:
        who = await client.whoami()
        assert (who.tenant, who.expires_at) == (tenant, made.expires_at)
        await client.publish("t", 1)
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t").__aenter__()
        assert raised.value.code == "forbidden"
        await manager.keys.revoke(key.id)
        with pytest.raises(ApiError) as raised:
            await client.publish("t", 1)
        assert raised.value.code == "unauthenticated"


async def test_tenants_do_not_see_each_other(
    server: RunningServer, admin: AsyncConduit, manager: AsyncConduit, tenant: str
) -> None:
    async with manager.subscribe("t") as stream:
        await manager.publish("t", 1)
        await (await anext(stream)).ack()
    assert "t" not in [topic.name async for topic in admin.topics.find()]
    with pytest.raises(ApiError) as raised:
        await admin.topics.get("t")
    assert raised.value.code == "topic_not_found"
    key = await new_key(manager, "manage")
    # From others than the operator the header is not read.
    async with AsyncConduit(server.url, api_key=key.key, tenant="default") as client:
        assert (await client.whoami()).tenant == tenant
    with pytest.raises(ApiError) as raised:
        await admin.tenants.delete(tenant)
    assert raised.value.code == "tenant_not_empty"
    await manager.topics.delete("t")
    await admin.tenants.delete(tenant)
    assert tenant not in [one.name async for one in admin.tenants.find()]


async def test_keys_and_tenants_are_changed(
    manager: AsyncConduit, admin: AsyncConduit, tenant: str
) -> None:
    key = await new_key(manager, limits={"connections": 2, "publishes_per_s": 9})
    changed = await manager.keys.change(
        key.id, name="renamed", scopes=["publish"], limits={"connections": None}
    )
    assert (changed.name, changed.scopes) == ("renamed", [Grant(scope="publish")])
    assert (changed.limits.connections, changed.limits.publishes_per_s) == (None, 9)
    assert (await manager.keys.change(key.id, expires_at=None)).expires_at is None
    limits = (await admin.tenants.change(tenant, topics=7)).limits
    assert limits.topics == 7
    assert (await admin.tenants.change(tenant, topics=None)).limits.topics is None
    assert key.id in [one.id async for one in manager.keys.find()]


async def test_what_was_done_is_in_the_audit_log(manager: AsyncConduit, tenant: str) -> None:
    key = await new_key(manager)
    async for entry in manager.audit(action="key.create"):
        assert (entry.tenant, entry.target, entry.address) == (tenant, key.id, "127.0.0.1")
        assert entry.detail["name"] == "of a test"
        assert entry.actor.startswith("key:")
        break
    else:
        raise AssertionError
