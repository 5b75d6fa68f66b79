import asyncio

import pytest

from conduit.broker.waiting import Slots
from conduit.errors import ConfigError
from conduit.grants import Grant
from conduit.storage.memory import MemoryStore
from conduit.tenancy import opening
from conduit.tenancy.opening import AuthOptions, make_first_key, open_tenancy
from tests.tenancy.registered import HandClock


@pytest.fixture
async def store():
    store = MemoryStore()
    await store.open()
    yield store
    await store.close()


async def opened(store, **options):
    return await open_tenancy(store, HandClock(), AuthOptions(**options), Slots(2))


async def test_the_first_key_is_the_operators_and_is_made_once(store):
    tenancy, shown = await opened(store), []
    assert await make_first_key(tenancy, None, shown.append)
    (key,) = shown
    assert tenancy.registry.authenticate(key.encode()).grants == (Grant(scope="admin"),)
    assert tenancy.registry.has_admin()
    assert not await make_first_key(tenancy, None, shown.append)
    await tenancy.close()
    # The pepper is kept: the key is good at the next start.
    again = await opened(store)
    again.registry.authenticate(key.encode())
    assert not await make_first_key(again, None, shown.append)
    await again.close()


@pytest.mark.parametrize("shares_file", [True, False])
async def test_of_servers_that_start_at_once_one_makes_it_and_only_its_file_stays(
    store, tmp_path, shares_file
):
    tenancies = [await opened(store) for _ in range(5)]
    paths = [tmp_path / ("key" if shares_file else f"key-{number}") for number in range(5)]
    made = await asyncio.gather(
        *(make_first_key(one, path, print) for one, path in zip(tenancies, paths, strict=True))
    )
    assert sum(key is not None for key in made) == 1
    (path,) = tmp_path.iterdir()
    for tenancy in tenancies:
        tenancy.registry.authenticate(path.read_bytes().strip())
        assert len(tenancy.registry.keys("default")) == 1
        await tenancy.close()


async def test_a_first_key_after_all_were_removed_is_another_one(store):
    tenancy, shown = await opened(store), []
    first = await make_first_key(tenancy, None, shown.append)
    operator = tenancy.registry.authenticate(shown[0].encode())
    await tenancy.accounts.revoke_key(operator, first.key_id)
    await tenancy.close()
    await store.keys_trim(HandClock().wall_ms() + 10**12, 10)
    again = await opened(store)
    second = await make_first_key(again, None, shown.append)
    assert second.key_id != first.key_id
    again.registry.authenticate(shown[1].encode())
    await again.close()


async def test_in_a_file_it_is_its_owners_alone_and_takes_no_other_files_place(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(opening, "OTHER_WITHIN_S", 0.2)
    tenancy, path = await opened(store), tmp_path / "key"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        await make_first_key(tenancy, path, print)
    assert not tenancy.registry.has_keys
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="key"):
        await make_first_key(tenancy, path, print)
    path.unlink()
    assert await make_first_key(tenancy, path, print)
    assert path.stat().st_mode & 0o777 == 0o600
    tenancy.registry.authenticate(path.read_bytes().strip())
    await tenancy.close()


async def test_a_pepper_that_is_set_must_stay_the_same(store):
    tenancy, shown = await opened(store, pepper="a pepper that is long"), []
    await make_first_key(tenancy, None, shown.append)
    await tenancy.close()
    with pytest.raises(ConfigError, match="CONDUIT_KEY_PEPPER is not the one"):
        await opened(store, pepper="another pepper, as long")
    with pytest.raises(ConfigError, match="is not set"):
        await opened(store)
    again = await opened(store, pepper="a pepper that is long")
    again.registry.authenticate(shown[0].encode())
    await again.close()


async def test_a_pepper_is_set_before_the_first_key_or_never(store):
    tenancy, shown = await opened(store), []
    await make_first_key(tenancy, None, shown.append)
    await tenancy.close()
    with pytest.raises(ConfigError, match="were made without one"):
        await opened(store, pepper="a pepper that is long")
    again = await opened(store)
    again.registry.authenticate(shown[0].encode())
    await again.close()
