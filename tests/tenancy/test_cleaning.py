import pytest

from conduit.core.access import AuditEntry
from conduit.storage.memory import MemoryStore
from conduit.tenancy.cleaning import SLICE_COUNT, Cleaner
from conduit.tenancy.registry import ENDED_MAX_AGE_S
from tests.tenancy.registered import OPERATOR, START_MS, HandClock, running_kit


def entry(number: int, at_ms: int) -> AuditEntry:
    return AuditEntry(
        entry_id=f"{number:036d}",
        at_ms=at_ms,
        tenant="default",
        actor="server",
        action="x",
        target="",
        address="",
        request_id="",
    )


class Follower(MemoryStore):
    """A store that another server cleans."""

    async def cleans_up(self) -> bool:
        return False


async def test_entries_go_when_they_are_old_however_many_there_are():
    async with running_kit() as kit:
        await kit.store.audit_add([entry(n, START_MS) for n in range(2 * SLICE_COUNT + 1)])
        await kit.store.audit_add([entry(9_999, START_MS + 10_000)])
        kit.clock.pass_s(105)
        await Cleaner(kit.store, kit.clock, audit_max_age_s=100).clean()
        assert [each.at_ms for each in await kit.store.audit_page(None, limit=10)] == [
            START_MS + 10_000
        ]


async def test_a_revoked_key_is_listed_for_thirty_days():
    async with running_kit() as kit:
        made = await kit.key()
        await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
        for more_s, is_there in ((ENDED_MAX_AGE_S - 1, True), (2, False)):
            kit.clock.pass_s(more_s)
            await Cleaner(kit.store, kit.clock).clean()
            assert bool((await kit.store.access_since(0)).keys) is is_there


async def test_what_another_server_cleans_is_left_to_it():
    store = Follower()
    await store.open()
    await store.audit_add([entry(1, 0)])
    await Cleaner(store, HandClock(), audit_max_age_s=1).clean()
    assert len(await store.audit_page(None, limit=10)) == 1
    await store.close()


@pytest.mark.parametrize("round_count", [1, 2])
async def test_a_key_that_the_store_has_forgotten_is_forgotten_here(round_count):
    async with running_kit() as kit:
        made = await kit.key()
        await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
        kit.clock.pass_s(ENDED_MAX_AGE_S + 1)
        for _ in range(round_count):
            kit.registry.forget_ended(kit.clock.ms - ENDED_MAX_AGE_S * 1000)
        assert not kit.registry.key_count("default")
        assert not kit.registry.has_keys
