import pytest

from conduit.broker.waiting import Slots
from conduit.errors import ConfigError
from conduit.grants import Grant
from conduit.storage.memory import MemoryStore
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


async def test_in_a_file_it_is_its_owners_alone_and_takes_no_other_files_place(store, tmp_path):
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
