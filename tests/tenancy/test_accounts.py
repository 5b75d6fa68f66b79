import asyncio

import pytest
from msgspec.structs import replace

from conduit.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.tenancy.accounts import OVERLAP_MAX_S, KeyChange, KeySpec
from conduit.tenancy.principal import Principal
from tests.tenancy.registered import OPERATOR, Kit, another, running_kit


@pytest.fixture
async def kit():
    async with running_kit() as kit:
        yield kit


PUBLISH = Grant(scope="publish")
SOME = Grant(scope="publish", topics=("a.>",))
MANAGE = Grant(scope="manage")


@pytest.mark.parametrize(
    ("has", "gives", "may"),
    [
        ([MANAGE, SOME], [SOME], True),
        ([MANAGE, SOME], [Grant(scope="publish", topics=("a.b",))], True),
        ([MANAGE, SOME], [PUBLISH], False),
        ([MANAGE], [PUBLISH], False),
        ([MANAGE], [MANAGE], True),
        ([MANAGE, PUBLISH], [Grant(scope="admin")], False),
        ([Grant(scope="admin")], [Grant(scope="admin"), PUBLISH, SOME], True),
    ],
)
async def test_nobody_gives_what_he_does_not_have(kit: Kit, has, gives, may):
    by = Principal("default", "key:x", has)
    if may:
        made = await kit.key(*gives, by=by)
        assert made.record.created_by == "key:x"
        changed = KeyChange(grants=gives)
        await kit.accounts.change_key(by, made.record.key_id, changed)
    else:
        with pytest.raises(Forbidden):
            await kit.key(*gives, by=by)
        other = await kit.key(*gives)
        for change in (
            kit.accounts.change_key(by, other.record.key_id, KeyChange(name="x")),
            kit.accounts.rotate_key(by, other.record.key_id, 0),
            kit.accounts.revoke_key(by, other.record.key_id),
        ):
            with pytest.raises(Forbidden):
                await change
        mine = await kit.key(*[each for each in has if each.scope != "admin"])
        with pytest.raises(Forbidden):
            await kit.accounts.change_key(by, mine.record.key_id, KeyChange(grants=gives))


async def test_a_key_with_an_end_gives_nothing_that_is_good_for_longer(kit: Kit):
    until = kit.clock.ms + 8_000
    mine = await kit.key(MANAGE, expires_at_ms=until)
    endless = await kit.key(MANAGE)
    by = kit.registry.authenticate(mine.text.encode())
    mine_id, endless_id = mine.record.key_id, endless.record.key_id
    for later in (None, until + 1):
        spec = KeySpec("x", [MANAGE], expires_at_ms=later)
        with pytest.raises(Forbidden):
            await kit.accounts.create_key(by, spec)
        with pytest.raises(Forbidden):
            await kit.accounts.change_key(by, mine_id, KeyChange(expires_at_ms=later))
    with pytest.raises(Forbidden):
        await kit.accounts.change_key(by, endless_id, KeyChange(grants=[MANAGE]))
    with pytest.raises(Forbidden):
        await kit.accounts.rotate_key(by, endless_id, 0)
    # It takes away, and gives what ends with it.
    await kit.accounts.change_key(by, endless_id, KeyChange(name="x"))
    await kit.accounts.change_key(by, endless_id, KeyChange(expires_at_ms=until))
    await kit.accounts.create_key(by, KeySpec("x", [MANAGE], expires_at_ms=until))
    rotated = await kit.accounts.rotate_key(by, mine_id, 0)
    assert rotated.record.expires_at_ms == until


async def test_the_secret_before_a_rotation_does_not_rotate_again(kit: Kit):
    made = await kit.key(MANAGE)
    key_id = made.record.key_id
    now = await kit.accounts.rotate_key(OPERATOR, key_id, 60)
    former = kit.registry.authenticate(made.text.encode())
    with pytest.raises(Forbidden):
        await kit.accounts.rotate_key(former, key_id, 0)
    with pytest.raises(Forbidden):
        await kit.accounts.create_key(former, KeySpec("x", [MANAGE]))
    current = kit.registry.authenticate(now.text.encode())
    await kit.accounts.rotate_key(current, key_id, 0)


async def test_a_key_with_limits_gives_none_that_are_wider(kit: Kit):
    limits = TenantLimits(connections=2, publishes_per_s=1)
    mine = await kit.key(MANAGE, limits=limits)
    free = await kit.key(MANAGE)
    by = kit.registry.authenticate(mine.text.encode())
    for wider in (TenantLimits(connections=2), TenantLimits(connections=3, publishes_per_s=1)):
        with pytest.raises(Forbidden):
            await kit.accounts.create_key(by, KeySpec("x", [MANAGE], limits=wider))
        with pytest.raises(Forbidden):
            await kit.accounts.change_key(by, mine.record.key_id, KeyChange(limits=wider))
    with pytest.raises(Forbidden):
        await kit.accounts.rotate_key(by, free.record.key_id, 0)
    await kit.accounts.change_key(by, free.record.key_id, KeyChange(name="x"))
    await kit.accounts.create_key(by, KeySpec("x", [MANAGE], limits=limits))
    operator = await kit.key(Grant(scope="admin"), limits=limits)
    by = kit.registry.authenticate(operator.text.encode())
    await kit.accounts.create_key(by, KeySpec("x", [MANAGE]))


async def keeps_nothing(server: Kit, by: Principal, key_id: str) -> None:
    spec = KeySpec("lasting", (MANAGE,))
    for attempt in (
        server.accounts.create_key(by, spec),
        server.accounts.change_key(by, key_id, KeyChange(name="mine")),
        server.accounts.rotate_key(by, key_id, 0),
    ):
        with pytest.raises(Unauthenticated):
            await attempt


async def test_what_another_server_has_revoked_gives_nothing_that_lasts(kit: Kit):
    made, other = await kit.key(MANAGE), another(kit)
    await other.registry.refresh()
    by = other.registry.authenticate(made.text.encode())
    await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    await keeps_nothing(other, by, made.record.key_id)


async def test_a_former_tenants_manager_gives_nothing_in_the_next_of_its_name(kit: Kit):
    made, other = await kit.key(MANAGE, by=await kit.tenant("acme")), another(kit)
    await other.registry.refresh()
    by = other.registry.authenticate(made.text.encode())
    await kit.accounts.delete_tenant("acme")
    kit.clock.pass_s(1.0)
    await kit.accounts.create_tenant("acme", TenantLimits())
    await keeps_nothing(other, by, made.record.key_id)
    assert kit.registry.keys("acme") == []


async def test_a_reduced_manager_gives_what_it_has_by_now(kit: Kit):
    made, other = await kit.key(MANAGE, PUBLISH), another(kit)
    await other.registry.refresh()
    by = other.registry.authenticate(made.text.encode())
    await kit.accounts.change_key(OPERATOR, made.record.key_id, KeyChange(grants=(MANAGE,)))
    with pytest.raises(Forbidden):
        await other.accounts.create_key(by, KeySpec("more", (PUBLISH,)))
    await other.accounts.create_key(by, KeySpec("as much", (MANAGE,)))


async def test_a_key_of_another_tenant_cannot_be_changed_and_is_not_there(kit: Kit):
    acme = await kit.tenant("acme")
    made = await kit.key(Grant(scope="publish"))
    for change in (
        kit.accounts.change_key(acme, made.record.key_id, KeyChange(name="x")),
        kit.accounts.rotate_key(acme, made.record.key_id, 0),
        kit.accounts.revoke_key(acme, made.record.key_id),
    ):
        with pytest.raises(NotFound) as missing:
            await change
        assert missing.value.code == "key_not_found"


async def test_what_is_revoked_stays_so(kit: Kit):
    made = await kit.key()
    revoked = await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    assert revoked.revoked_at_ms == kit.clock.ms
    kit.clock.pass_s(5)
    assert await kit.accounts.revoke_key(OPERATOR, made.record.key_id) == revoked
    for change in (
        kit.accounts.change_key(OPERATOR, made.record.key_id, KeyChange(name="x")),
        kit.accounts.rotate_key(OPERATOR, made.record.key_id, 0),
    ):
        with pytest.raises(Conflict):
            await change


async def test_of_changes_at_once_none_is_lost(kit: Kit):
    made = await kit.key()
    elsewhere = another(kit)
    await elsewhere.registry.refresh()
    key_id = made.record.key_id
    await asyncio.gather(
        kit.accounts.change_key(OPERATOR, key_id, KeyChange(name="new")),
        elsewhere.accounts.change_key(
            OPERATOR, key_id, KeyChange(limits=TenantLimits(connections=1))
        ),
        kit.accounts.rotate_key(OPERATOR, key_id, 60),
    )
    await kit.registry.refresh()
    record = kit.registry.key("default", key_id)
    assert (record.name, record.limits.connections) == ("new", 1)
    assert record.former_hash == made.record.secret_hash


async def test_of_changes_of_a_tenant_at_once_none_is_lost(kit: Kit, monkeypatch):
    await kit.tenant("acme")
    update = kit.store.tenant_update

    async def slow(name, limits):
        await asyncio.sleep(0)
        return await update(name, limits)

    monkeypatch.setattr(kit.store, "tenant_update", slow)
    await asyncio.gather(
        kit.accounts.change_tenant("acme", lambda was: replace(was, topics=1)),
        kit.accounts.change_tenant("acme", lambda was: replace(was, connections=2)),
    )
    assert kit.registry.tenant("acme").limits == TenantLimits(topics=1, connections=2)


async def test_of_changes_of_limits_at_once_none_is_lost(kit: Kit):
    key_id = (await kit.key()).record.key_id
    elsewhere = another(kit)
    await elsewhere.registry.refresh()
    for server, name in ((kit, "publishes_per_s"), (elsewhere, "connections")):
        change = KeyChange(limits=lambda was, name=name: replace(was, **{name: 1}))
        record = await server.accounts.change_key(OPERATOR, key_id, change)
    assert record.limits == TenantLimits(publishes_per_s=1, connections=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (KeyChange(name="x" * 101), "name"),
        (KeyChange(name="a\nb"), "name"),
        (KeyChange(grants=[]), "scopes"),
        (KeyChange(expires_at_ms=1), "expires_at"),
        (KeyChange(limits=TenantLimits(topics=1)), "limits.topics"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(kit: Kit, change, field):
    made = await kit.key()
    with pytest.raises(InvalidRequest) as refused:
        await kit.accounts.change_key(OPERATOR, made.record.key_id, change)
    assert refused.value.field == field
    assert kit.registry.key("default", made.record.key_id) == made.record


@pytest.mark.parametrize("overlap_s", [-1, OVERLAP_MAX_S + 1])
async def test_an_overlap_has_bounds(kit: Kit, overlap_s):
    made = await kit.key()
    with pytest.raises(InvalidRequest):
        await kit.accounts.rotate_key(OPERATOR, made.record.key_id, overlap_s)


async def test_tenants_come_change_and_go(kit: Kit):
    acme = await kit.tenant("acme", topics=1)
    made = await kit.key(by=acme)
    with pytest.raises(Conflict) as there:
        await kit.accounts.create_tenant("acme", TenantLimits())
    assert there.value.code == "tenant_exists"
    changed = await kit.accounts.change_tenant("acme", TenantLimits(topics=2))
    assert changed.limits == TenantLimits(topics=2)
    caller = kit.registry.authenticate(made.text.encode())
    await kit.accounts.delete_tenant("acme")
    assert caller.is_over
    for gone in (
        kit.accounts.change_tenant("acme", TenantLimits()),
        kit.accounts.delete_tenant("acme"),
        kit.key(by=acme),
    ):
        with pytest.raises(NotFound) as missing:
            await gone
        assert missing.value.code == "tenant_not_found"
    with pytest.raises(Forbidden):
        await kit.accounts.delete_tenant("default")
