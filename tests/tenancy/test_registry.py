import pytest

from conduit.errors import NotFound, Unauthenticated
from conduit.grants import Grant
from conduit.limits import NO_LIMITS, TenantLimits
from conduit.tenancy.accounts import KeyChange
from tests.tenancy.registered import OPERATOR, Kit, another, running_kit

DEFAULT_KEY = "a-key-of-sixteen-or-more"


@pytest.fixture
async def kit():
    async with running_kit(DEFAULT_KEY) as kit:
        yield kit


def refused(kit: Kit, credential: str | bytes) -> None:
    """It is not good, and hears nothing else."""
    credential = credential.encode() if isinstance(credential, str) else credential
    with pytest.raises(Unauthenticated) as error:
        kit.registry.authenticate(credential)
    assert error.value.detail == "the key or token is missing, or is not good"


async def test_a_key_stands_for_its_tenant_and_its_rights(kit: Kit):
    made = await kit.key(Grant(scope="publish", topics=("a",)), Grant(scope="subscribe"))
    caller = kit.registry.authenticate(made.text.encode())
    assert (caller.tenant, caller.actor) == ("default", f"key:{made.record.key_id}")
    assert caller.grants == made.record.grants
    assert kit.registry.authenticate(made.text.encode()) is caller


async def test_what_is_not_good_is_refused_alike(kit: Kit):
    made = await kit.key()
    other = await kit.key(expires_at_ms=kit.clock.ms + 1)
    gone = await kit.key()
    await kit.accounts.revoke_key(OPERATOR, gone.record.key_id)
    kit.clock.pass_s(1)
    mixed = made.text[:17] + other.text[17:]
    for text in ("", "x", mixed, other.text, gone.text, f"{made.text} ", "eyJ.x.y", "x" * 9_000):
        refused(kit, text)
    refused(kit, b"\xff" * 20)
    # Spelled as it must be, and never made.
    refused(kit, made.text[:8] + "zzzzzzzz" + made.text[16:])


async def test_the_default_key_is_the_default_tenants_and_no_operators(kit: Kit):
    caller = kit.registry.authenticate(DEFAULT_KEY.encode())
    assert (caller.tenant, caller.actor) == ("default", "default_api_key")
    assert caller.is_whole("publish")
    assert caller.is_whole("subscribe")
    assert caller.is_whole("manage")
    assert not caller.may("admin")
    refused(kit, DEFAULT_KEY[:-1])


async def test_both_secrets_are_good_until_the_overlap_ends(kit: Kit):
    made = await kit.key()
    again = await kit.accounts.rotate_key(OPERATOR, made.record.key_id, 60)
    new = kit.registry.authenticate(again.text.encode())
    former = kit.registry.authenticate(made.text.encode())
    assert new.expires_at_ms is None
    assert former.expires_at_ms == kit.clock.ms + 60_000
    kit.clock.pass_s(59.9)
    kit.registry.authenticate(made.text.encode())
    kit.clock.pass_s(0.1)
    refused(kit, made.text)
    with pytest.raises(Unauthenticated):
        kit.registry.renewed(former)
    kit.registry.authenticate(again.text.encode())


async def test_a_third_secret_ends_the_first(kit: Kit):
    first = await kit.key()
    second = await kit.accounts.rotate_key(OPERATOR, first.record.key_id, 60)
    third = await kit.accounts.rotate_key(OPERATOR, first.record.key_id, 60)
    refused(kit, first.text)
    for good in (second, third):
        kit.registry.authenticate(good.text.encode())


async def test_who_has_signed_in_hears_of_a_change_and_signs_in_again_without_the_key(kit: Kit):
    made = await kit.key(Grant(scope="publish"))
    before = kit.registry.authenticate(made.text.encode())
    change = KeyChange(grants=[Grant(scope="publish", topics=("a",))])
    await kit.accounts.change_key(OPERATOR, made.record.key_id, change)
    assert before.is_over
    after = kit.registry.renewed(before)
    assert not after.is_over
    assert not after.may("publish", "b")
    await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    assert after.is_over
    with pytest.raises(Unauthenticated):
        kit.registry.renewed(after)


async def test_another_server_learns_of_it_when_it_asks(kit: Kit):
    made = await kit.key()
    elsewhere = another(kit)
    refused(elsewhere, made.text)
    await elsewhere.registry.refresh()
    caller = elsewhere.registry.authenticate(made.text.encode())
    await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    assert not caller.is_over
    await elsewhere.registry.refresh()
    assert caller.is_over
    refused(elsewhere, made.text)


async def test_an_older_change_that_is_learned_late_changes_nothing(kit: Kit):
    made = await kit.key()
    changed = await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    kit.registry.learn(made.record)
    assert kit.registry.key("default", made.record.key_id) is changed
    refused(kit, made.text)


async def test_a_store_that_is_an_earlier_copy_says_all_that_there_is(kit: Kit):
    made = await kit.key()
    elsewhere = another(kit)
    await elsewhere.registry.refresh()
    caller = elsewhere.registry.authenticate(made.text.encode())
    async with running_kit() as copy:
        elsewhere.registry._store = copy.store
        await elsewhere.registry.refresh()
    assert caller.is_over
    refused(elsewhere, made.text)
    assert [each.name for each in elsewhere.registry.tenants()] == ["default"]


async def test_a_key_of_another_tenant_is_not_found(kit: Kit):
    acme = await kit.tenant("acme")
    made = await kit.key(by=acme)
    assert kit.registry.key("acme", made.record.key_id) == made.record
    for tenant, key_id in (("default", made.record.key_id), ("acme", "nosuchid")):
        with pytest.raises(NotFound) as missing:
            kit.registry.key(tenant, key_id)
        assert missing.value.code == "key_not_found"
    assert [each.key_id for each in kit.registry.keys("acme")] == [made.record.key_id]
    assert kit.registry.keys("default") == []


async def test_an_operator_acts_for_a_tenant_until_it_is_gone(kit: Kit):
    await kit.tenant("acme")
    made = await kit.key(Grant(scope="admin"))
    caller = kit.registry.authenticate(made.text.encode())
    acting = kit.registry.acting_for(caller, "acme")
    assert (acting.tenant, acting.actor, acting.is_acting) == ("acme", caller.actor, True)
    assert kit.registry.acting_for(caller, "acme") is acting
    assert kit.registry.acting_for(caller, "default") is caller
    named = kit.registry.acting_for(caller, "default", is_named=True)
    assert (named.tenant, named.is_acting, caller.is_acting) == ("default", True, False)
    assert kit.registry.authenticate(made.text.encode()) is caller
    with pytest.raises(NotFound) as missing:
        kit.registry.acting_for(caller, "nobody")
    assert missing.value.code == "tenant_not_found"
    await kit.accounts.rotate_key(OPERATOR, made.record.key_id, 60)
    assert acting.is_over
    assert kit.registry.renewed(acting).tenant == "acme"
    await kit.accounts.delete_tenant("acme")
    with pytest.raises(NotFound):
        kit.registry.renewed(acting)


async def test_limits_of_tenants_are_told_when_they_change(kit: Kit):
    await kit.tenant("acme", topics=3)
    assert kit.meters.tenants == {"default": NO_LIMITS, "acme": TenantLimits(topics=3)}
    await kit.accounts.change_tenant("acme", TenantLimits(topics=4))
    assert kit.meters.tenants["acme"].topics == 4
    await kit.accounts.delete_tenant("acme")
    assert kit.meters.tenants["acme"] == NO_LIMITS


async def test_the_time_of_the_last_use_is_noted_and_is_no_change(kit: Kit):
    made, unused = await kit.key(), await kit.key()
    caller = kit.registry.authenticate(made.text.encode())
    await kit.registry._note_used()
    stored = {key.key_id: key for key in (await kit.store.access_since(0)).keys}
    assert stored[made.record.key_id].last_used_at_ms == kit.clock.ms
    assert stored[unused.record.key_id].last_used_at_ms is None
    shown = kit.registry.key("default", made.record.key_id)
    assert shown.last_used_at_ms == kit.clock.ms
    assert shown in kit.registry.keys("default")
    await kit.registry.refresh()
    assert not caller.is_over


async def test_a_use_just_before_the_key_is_revoked_is_noted_too(kit: Kit):
    made, unused = await kit.key(), await kit.key()
    kit.registry.authenticate(made.text.encode())
    for key_id in (made.record.key_id, unused.record.key_id):
        await kit.accounts.revoke_key(OPERATOR, key_id)
    await kit.registry._note_used()
    assert kit.registry.key("default", made.record.key_id).last_used_at_ms == kit.clock.ms
    assert kit.registry.key("default", unused.record.key_id).last_used_at_ms is None
    kit.clock.ms += 60_000
    await kit.registry._note_used()
    assert kit.registry.key("default", made.record.key_id).last_used_at_ms == kit.clock.ms - 60_000


async def test_limits_of_keys_are_told_until_they_are_revoked(kit: Kit):
    made = await kit.key(limits=TenantLimits(publishes_per_s=3))
    key_id = made.record.key_id
    assert kit.meters.keys[key_id].publishes_per_s == 3
    await kit.accounts.change_key(OPERATOR, key_id, KeyChange(limits=TenantLimits(connections=1)))
    assert kit.meters.keys[key_id] == TenantLimits(connections=1)
    await kit.accounts.revoke_key(OPERATOR, key_id)
    assert kit.meters.keys[key_id] == NO_LIMITS


async def test_whoever_gets_the_name_of_a_tenant_that_is_gone_has_none_of_its_keys(kit: Kit):
    manager = await kit.tenant("acme")
    old = await kit.key(by=manager)
    kit.clock.pass_s(1)
    await kit.accounts.delete_tenant("acme")
    kit.clock.pass_s(1)
    await kit.tenant("acme")
    kit.clock.pass_s(1)
    new = await kit.key(by=manager)
    await kit.accounts.revoke_key(manager, new.record.key_id)
    started = another(kit)
    await started.registry.refresh()
    for registry in (kit.registry, started.registry):
        assert [key.key_id for key in registry.keys("acme")] == [new.record.key_id]
        assert registry.key_count("acme") == 1
        with pytest.raises(NotFound):
            registry.key("acme", old.record.key_id)
    refused(kit, old.text)


async def test_who_is_an_operator_no_more_acts_for_no_other_tenant(kit: Kit):
    await kit.tenant("acme")
    made = await kit.key(Grant(scope="admin"))
    caller = kit.registry.authenticate(made.text.encode())
    acting = kit.registry.acting_for(caller, "acme")
    less = KeyChange(grants=[Grant(scope="publish"), Grant(scope="subscribe")])
    await kit.accounts.change_key(OPERATOR, made.record.key_id, less)
    assert acting.is_over
    for again in (
        lambda: kit.registry.renewed(acting),
        lambda: kit.registry.by_proof(made.record.key_id, acting.proof, "acme"),
        lambda: kit.registry.acting_for(kit.registry.renewed(caller), "acme"),
    ):
        with pytest.raises(Unauthenticated):
            again()
    assert kit.registry.renewed(caller).tenant == "default"


async def test_limits_of_a_key_are_taken_back_when_it_is_forgotten(kit: Kit):
    limits = TenantLimits(publishes_per_s=3)
    made = await kit.key(limits=limits, expires_at_ms=kit.clock.ms + 1_000)
    assert kit.meters.keys[made.record.key_id] == limits
    kit.clock.pass_s(2)
    kit.registry.forget_ended(kit.clock.ms)
    assert kit.registry.keys("default") == []
    assert kit.meters.keys[made.record.key_id] == NO_LIMITS


async def test_nobody_is_kept_who_acted_for_a_tenant_that_is_gone(kit: Kit):
    made = await kit.key(Grant(scope="admin"))
    caller = kit.registry.authenticate(made.text.encode())
    known = kit.registry._keys[made.record.key_id].principals
    for name in ("acme", "other"):
        await kit.tenant(name)
        acting = kit.registry.acting_for(caller, name)
        assert acting in known.values()
        await kit.accounts.delete_tenant(name)
        assert acting.is_over
        assert list(known.values()) == [caller]
    assert not caller.is_over


async def test_who_acts_for_a_tenant_that_was_made_anew_signs_in_again(kit: Kit):
    await kit.tenant("acme")
    made = await kit.key(Grant(scope="admin"))
    server = another(kit)
    await server.registry.refresh()
    caller = server.registry.authenticate(made.text.encode())
    acting = server.registry.acting_for(caller, "acme")
    kit.clock.pass_s(1)
    # Both between two looks of the other server.
    await kit.accounts.delete_tenant("acme")
    await kit.tenant("acme")
    await server.registry.refresh()
    assert (acting.is_over, caller.is_over) == (True, False)
    assert server.registry.renewed(acting).tenant == "acme"
