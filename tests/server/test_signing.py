"""Who a WebSocket is, from when and for how long."""

import asyncio

import pytest

from conduit.broker.attach.connection import Connection
from conduit.core.access import TenantRecord
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.protocol.codes import CLOSE_TRY_LATER
from conduit.server.session import BAD_FRAMES_MAX_COUNT
from conduit.server.signing import UNSIGNED_MAX_BYTES
from conduit.tenancy.accounts import KeyChange
from conduit.tenancy.principal import Principal
from tests.server.guarded import WHOLE, Guarded, closed, heard, open_guarded, said
from tests.server.peer import TEXT, frame
from tests.server.port import TOPIC
from tests.tenancy.registered import OPERATOR


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


class _Another:
    """A socket of the same address that waits too."""

    def __init__(self, session) -> None:
        self.address = session.address

    def turn_away(self) -> None:
        """See `Waiting`."""


async def refused(client, code: str) -> int:
    """An error frame with this code, and the code of the close frame behind it."""
    error = await heard(client)
    assert (error["type"], error["code"]) == ("error", code)
    return await closed(client)


async def test_signed_in_by_the_upgrade(guarded: Guarded):
    made = await guarded.key()
    client = await guarded.socket(made.text)
    await client.send(said(type="subscribe", topic=TOPIC))
    assert (await heard(client))["type"] == "subscribed"
    assert not len(guarded.port.context.unsigned)


@pytest.mark.parametrize("is_upgrade", [True, False])
async def test_a_connection_too_many_may_come_again(guarded: Guarded, is_upgrade: bool):
    made = await guarded.key(limits=TenantLimits(connections=1))
    first = await guarded.socket(made.text)
    await first.send(said(type="heartbeat"))
    await heard(first)
    second = await guarded.socket(made.text if is_upgrade else "")
    if not is_upgrade:
        await second.send(said(type="auth", token=made.text))
    assert await refused(second, "limit_reached") == CLOSE_TRY_LATER


async def test_a_bad_key_in_the_upgrade_is_401(guarded: Guarded):
    for path in ("/ws", "/ws?ticket=x"):
        client = await guarded.port.connect()
        await client.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "X-API-Key: ck_live_x\r\n\r\n".encode()
        )
        answer = await client.answer()
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def test_signed_in_by_the_first_frame(guarded: Guarded):
    made = await guarded.key(expires_at_ms=guarded.port.broker.clock.wall_ms() + 60_000)
    client = await guarded.socket()
    assert len(guarded.port.context.unsigned) == 1
    # Whatever follows in the same read is somebody's.
    await client.send(
        said(type="auth", token=made.text, ref="a") + said(type="subscribe", topic=TOPIC)
    )
    welcome = await heard(client)
    assert (welcome["type"], welcome["tenant"], welcome["ref"]) == ("authenticated", "default", "a")
    assert welcome["expires_at"].endswith("Z")
    assert (await heard(client))["type"] == "subscribed"
    assert not len(guarded.port.context.unsigned)


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"heartbeat"}',
        b'{"type":"subscribe","topic":"demo"}',
        b'{"type":"auth"}',
        b'{"type":"auth","token":""}',
        b'{"type":"auth","token":"ck_live_x"}',
        b'{"type":"auth","token":"\\ud800"}',
        b'{"type":"auth","token":"x","more":1}',
        b"x",
        b'{"type":"auth","token":"%b"}' % (b"x" * UNSIGNED_MAX_BYTES),
    ],
)
async def test_any_other_first_frame_is_the_last_one(guarded: Guarded, text):
    client = await guarded.socket()
    await client.send(frame(TEXT, text) + said(type="heartbeat"))
    assert (await heard(client))["type"] == "error"
    assert await closed(client) == 4501


async def test_a_frame_that_does_not_end_is_not_kept(guarded: Guarded):
    client = await guarded.socket()
    await client.send(frame(TEXT, b"x" * 200_000)[: 3 * UNSIGNED_MAX_BYTES])
    assert await closed(client) == 1009


async def test_who_says_nothing_is_closed(guarded: Guarded):
    client = await guarded.socket()
    now = guarded.port.context.now()
    guarded.check(now + guarded.port.context.limits.auth_timeout_s - 1)
    guarded.check(now + guarded.port.context.limits.auth_timeout_s + 1)
    assert await refused(client, "unauthenticated") == 4501


async def test_the_bound_of_those_that_have_not_signed_in_holds_within_a_turn():
    async with open_guarded(max_unauthenticated=2) as guarded:
        unsigned = guarded.port.context.unsigned
        clients = [await guarded.socket() for _ in range(2)]
        sessions = [*guarded.port.context.sessions]
        for session in sessions:
            unsigned.remove(session)
        for session in (*sessions, *[_Another(session) for session in sessions]):
            unsigned.add(session)
        # All of them came before anybody was told that it is gone.
        assert len(unsigned) == 2
        assert guarded.port.context.closings.counts["unsigned"] == 2
        for client in clients:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.reader.readexactly(1)


async def test_there_are_only_so_many_that_have_not_signed_in():
    async with open_guarded(max_unauthenticated=2) as guarded:
        first, second, _third = [await guarded.socket() for _ in range(3)]
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await first.reader.readexactly(1)
        made = await guarded.key()
        await second.send(said(type="auth", token=made.text))
        assert (await heard(second))["type"] == "authenticated"
        assert guarded.port.context.closings.counts["unsigned"] == 1


async def test_a_revoked_key_closes_its_sockets(guarded: Guarded):
    made, other = await guarded.key(), await guarded.key()
    client, neighbour = await guarded.socket(made.text), await guarded.socket(other.text)
    for each in (client, neighbour):
        await each.send(said(type="subscribe", topic=TOPIC))
        await heard(each)
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    guarded.check(guarded.port.context.now())
    assert await refused(client, "unauthenticated") == 4501
    await neighbour.send(said(type="heartbeat"))
    assert (await heard(neighbour))["type"] == "heartbeat_ack"


async def test_a_revoked_key_publishes_and_subscribes_nothing_also_before_the_sweep(
    guarded: Guarded,
):
    for sent in (said(type="publish", topic=TOPIC, payload=1), said(type="subscribe", topic=TOPIC)):
        made = await guarded.key()
        client = await guarded.socket(made.text)
        await client.send(said(type="heartbeat"))
        await heard(client)
        await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
        await client.send(sent)
        assert await refused(client, "unauthenticated") == 4501
    assert guarded.port.last_seq == 0


async def test_a_change_that_takes_nothing_away_is_not_noticed(guarded: Guarded):
    made = await guarded.key()
    client = await guarded.socket(made.text)
    await client.send(said(type="subscribe", topic=TOPIC))
    await heard(client)
    for change in (KeyChange(name="x"), KeyChange(grants=[Grant(scope="subscribe"), WHOLE[2]])):
        await guarded.accounts.change_key(OPERATOR, made.record.key_id, change)
        guarded.check(guarded.port.context.now())
        await client.send(said(type="heartbeat"))
        assert (await heard(client))["type"] == "heartbeat_ack"
    await client.send(said(type="publish", topic=TOPIC, payload=1))
    assert (await heard(client))["code"] == "forbidden"


async def test_rights_that_are_as_they_were_are_not_compared_again(guarded: Guarded, monkeypatch):
    asked = []
    may_subscribe = Principal.may_subscribe

    def counted(self, topic, subscription):
        asked.append(topic)
        return may_subscribe(self, topic, subscription)

    monkeypatch.setattr(Principal, "may_subscribe", counted)
    until_ms = guarded.port.broker.clock.wall_ms() + 60_000
    made = await guarded.key(*WHOLE, expires_at_ms=until_ms)
    client = await guarded.socket(made.text)
    topics = [f"{TOPIC}{number}" for number in range(5)]
    for topic in topics:
        await client.send(said(type="subscribe", topic=f"{topic}.>"))
        assert (await heard(client))["type"] == "subscribed"
    for _ in range(5):
        guarded.check(guarded.port.context.now())
    await client.send(said(type="auth", token=made.text))
    assert (await heard(client))["type"] == "authenticated"
    # Once each, when it was asked for.
    assert asked == [f"{topic}.>" for topic in topics]
    await guarded.accounts.change_key(OPERATOR, made.record.key_id, KeyChange(name="x"))
    for _ in range(5):
        guarded.check(guarded.port.context.now())
    assert len(asked) == 2 * len(topics)


async def test_a_change_that_takes_away_what_is_subscribed_to_closes(guarded: Guarded):
    made = await guarded.key()
    client = await guarded.socket(made.text)
    await client.send(said(type="subscribe", topic=TOPIC))
    await heard(client)
    change = KeyChange(grants=[Grant(scope="subscribe", topics=("other",))])
    await guarded.accounts.change_key(OPERATOR, made.record.key_id, change)
    guarded.check(guarded.port.context.now())
    assert await refused(client, "forbidden") == 4503


async def test_a_change_during_a_subscribe_counts_for_it(guarded: Guarded, monkeypatch):
    made = await guarded.key()
    client = await guarded.socket(made.text)
    change = KeyChange(grants=[Grant(scope="subscribe", topics=("other",))])
    subscribe = Connection.subscribe

    async def overtaken(self, asked):
        await guarded.accounts.change_key(OPERATOR, made.record.key_id, change)
        guarded.check(guarded.port.context.now())
        await subscribe(self, asked)

    monkeypatch.setattr(Connection, "subscribe", overtaken)
    await client.send(said(type="subscribe", topic=TOPIC))
    assert (await heard(client))["type"] == "subscribed"
    assert await refused(client, "forbidden") == 4503


async def test_at_its_end_a_socket_is_closed_unless_it_has_signed_in_again(
    guarded: Guarded, monkeypatch
):
    clock = guarded.port.broker.clock
    now_ms = clock.wall_ms()
    short = await guarded.key(expires_at_ms=now_ms + 60_000)
    long = await guarded.key(expires_at_ms=now_ms + 120_000)
    ends, goes_on = await guarded.socket(short.text), await guarded.socket(short.text)
    await goes_on.send(said(type="auth", token=long.text))
    assert (await heard(goes_on))["type"] == "authenticated"
    monkeypatch.setattr(clock, "wall_ms", lambda: now_ms + 60_000)
    guarded.check(guarded.port.context.now())
    assert await refused(ends, "unauthenticated") == 4501
    await goes_on.send(said(type="publish", topic=TOPIC, payload=1))
    assert (await heard(goes_on))["type"] == "published"


async def test_a_credential_that_is_not_good_takes_nothing_from_the_one_before(guarded: Guarded):
    made, revoked = await guarded.key(), await guarded.key()
    await guarded.accounts.revoke_key(OPERATOR, revoked.record.key_id)
    client = await guarded.socket(made.text)
    for token in ("", "ck_live_x", revoked.text):
        await client.send(said(type="auth", token=token, ref="r"))
        error = await heard(client)
        assert (error["code"], error["ref"]) == ("unauthenticated", "r")
    await client.send(said(type="publish", topic=TOPIC, payload=1))
    assert (await heard(client))["type"] == "published"
    # Nobody tries them here without end.
    for _ in range(BAD_FRAMES_MAX_COUNT):
        await client.send(said(type="auth", token="ck_live_x"))
    codes = [(await heard(client))["code"] for _ in range(BAD_FRAMES_MAX_COUNT - 2)]
    assert set(codes) == {"unauthenticated"}
    assert await refused(client, "too_many_bad_frames") == 4529


async def test_nobody_becomes_somebody_of_another_tenant(guarded: Guarded):
    acme = await guarded.tenant("acme")
    theirs, ours = await guarded.key(by=acme), await guarded.key()
    client = await guarded.socket(ours.text)
    await client.send(said(type="auth", token=theirs.text, ref="r"))
    error = await heard(client)
    assert (error["code"], error["ref"]) == ("forbidden", "r")
    await client.send(said(type="publish", topic=TOPIC, payload=1))
    assert (await heard(client))["type"] == "published"


async def test_rights_are_asked_for_each_subscribe(guarded: Guarded):
    grant = Grant(scope="subscribe", topics=("demo", "a.*"), subscriptions=("web.*",))
    made = await guarded.key(grant)
    client = await guarded.socket(made.text)
    for topic, name, may in (
        (TOPIC, None, True),
        ("a.*", "web.1", True),
        ("a.>", None, False),
        ("other", None, False),
        (TOPIC, "billing", False),
        (">", "web.2", False),
    ):
        fields = {"topic": topic} if name is None else {"topic": topic, "subscription": name}
        await client.send(said(type="subscribe", **fields))
        answer = await heard(client)
        assert answer.get("code") == (None if may else "forbidden"), fields
    # What was refused was not made.
    found = (
        await guarded.port.broker.subscriptions.list("default", q=None, limit=10, after=None)
    ).views
    assert [view.record.name for view in found] == ["web.1"]


async def test_tenants_do_not_hear_each_other(guarded: Guarded):
    acme = await guarded.tenant("acme")
    theirs, ours = await guarded.key(by=acme), await guarded.key()
    listener = await guarded.socket(theirs.text)
    for pattern in (">", TOPIC):
        await listener.send(said(type="subscribe", topic=pattern))
        assert (await heard(listener))["type"] == "subscribed"
    publisher = await guarded.socket(ours.text)
    await publisher.send(said(type="publish", topic=TOPIC, payload="ours"))
    assert (await heard(publisher))["subscribers"] == 0
    await listener.send(said(type="publish", topic=TOPIC, payload="theirs"))
    payloads = [await heard(listener) for _ in range(3)]
    assert {each.get("payload", "theirs") for each in payloads} == {"theirs"}


async def test_a_socket_that_never_signs_in_leaves_nothing(guarded: Guarded):
    clients = [await guarded.socket() for _ in range(5)]
    for client in clients:
        client.writer.close()
    await guarded.port.until(lambda: not guarded.port.context.sessions)
    assert not len(guarded.port.context.unsigned)
    assert not guarded.port.context.unsigned._addresses


async def test_a_ticket_that_is_found_good_as_its_socket_is_lost_counts_nobody(guarded: Guarded):
    made = await guarded.key()
    caller, context = guarded.registry.authenticate(made.text.encode()), guarded.port.context
    allowance = guarded.port.broker.allowances.of("default")
    found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    redeem = context.gate.redeem

    async def late(*asked):
        await found
        return await redeem(*asked)

    context.gate.redeem = late
    await guarded.socket(path=f"/ws?ticket={(await context.tenancy.ticketing.give(caller))[0]}")
    (session,) = context.sessions
    # The store's answer and the reset are read in one turn of the loop.
    found.set_result(None)
    session.abort()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not context.sessions
    assert allowance.connections.count == 0
    assert session._connection is None


@pytest.mark.parametrize("is_seen_at_once", [True, False])
async def test_a_socket_of_a_tenant_that_is_gone_hears_nothing_of_the_next_of_its_name(
    guarded: Guarded, is_seen_at_once
):
    manager = await guarded.tenant("acme")
    made, operator, port = await guarded.key(by=manager), await guarded.operator(), guarded.port
    caller = guarded.registry.authenticate(operator.text.encode())
    acting = guarded.registry.acting_for(caller, "acme")
    ticket, _ = await port.context.tenancy.ticketing.give(acting)
    sockets = [
        await guarded.socket(made.text),
        await guarded.socket(path=f"/ws?ticket={ticket}"),
        await guarded.socket(operator.text),
    ]
    for each in sockets:
        await each.send(said(type="subscribe", topic=">"))
        assert (await heard(each))["type"] == "subscribed"
    if is_seen_at_once:
        await guarded.accounts.delete_tenant("acme")
    else:
        # Another server does both before this one looks.
        await port.store.tenant_delete("acme", port.broker.clock.wall_ms())
        later = TenantRecord(name="acme", created_at_ms=port.broker.clock.wall_ms() + 1)
        await port.store.tenant_create(later)
        await guarded.registry.refresh()
    new = await guarded.key(by=await guarded.tenant("acme") if is_seen_at_once else manager)
    for path, body in (("topics", {"name": "t"}), ("publish", {"topic": "t", "payload": 1})):
        assert (await guarded.ask("POST", f"/api/{path}", new.text, body)).status < 300
    assert await refused(sockets[0], "unauthenticated") == 4501
    assert await refused(sockets[1], "tenant_not_found") == 4503
    await sockets[2].send(said(type="heartbeat"))
    assert (await heard(sockets[2]))["type"] == "heartbeat_ack"
