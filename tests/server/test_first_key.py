import asyncio
import errno
import logging
import os
import sys

import pytest

from conduit.broker.waiting import Slots
from conduit.environment import load_settings
from conduit.errors import ConfigError, OutcomeUnknown, StoreUnavailable
from conduit.server.first_key import FILE_NAME, offer_first_key, warn_of_open_keys
from conduit.tenancy import opening
from conduit.tenancy.opening import AuthOptions, open_tenancy
from tests.tenancy.registered import running_kit

KEY = "an-operators-own"


@pytest.fixture
async def kit():
    async with running_kit() as kit:
        yield kit


@pytest.fixture
async def tenancy(kit):
    tenancy = await open_tenancy(kit.store, kit.clock, AuthOptions(), Slots(2))
    yield tenancy
    await tenancy.close()


def settings(**given: object):
    environ = {"ENABLE_AUTH": "true", **{name: str(value) for name, value in given.items()}}
    return load_settings(environ)


@pytest.mark.leaks("to the terminal of whoever has started the server, and nowhere else")
async def test_on_a_terminal_it_is_shown_and_not_logged(tenancy, monkeypatch, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    await offer_first_key(settings(), tenancy)
    (record,) = tenancy.registry.keys("default")
    shown = capsys.readouterr()
    assert f"ck_live_{record.key_id}_" in shown.err
    assert not shown.out
    assert "ck_live_" not in caplog.text
    await offer_first_key(settings(), tenancy)
    assert "ck_live_" not in capsys.readouterr().err


async def test_without_a_terminal_it_is_beside_the_database(tenancy, tmp_path, capsys, caplog):
    await offer_first_key(settings(DATABASE_URL=f"sqlite:///{tmp_path}/c.db"), tenancy)
    key = (tmp_path / FILE_NAME).read_bytes().strip()
    assert tenancy.registry.authenticate(key).may("admin")
    assert str(tmp_path / FILE_NAME) in caplog.text
    assert "ck_live_" not in caplog.text + capsys.readouterr().err


async def test_where_it_cannot_be_written_the_start_says_so_and_makes_none(
    tenancy, tmp_path, monkeypatch
):
    monkeypatch.setattr(opening, "OTHER_WITHIN_S", 0.2)
    path = tmp_path / "there"
    path.write_text("something else")
    with pytest.raises(ConfigError, match="CONDUIT_ADMIN_KEY_FILE"):
        await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), tenancy)
    assert path.read_text() == "something else"
    assert not tenancy.registry.has_keys


async def test_with_a_key_of_ones_own_there_is_none_unless_it_is_asked_for(
    tenancy, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    await offer_first_key(settings(DEFAULT_API_KEY=KEY), tenancy)
    assert not tenancy.registry.has_keys
    assert "CONDUIT_ADMIN_KEY_FILE" in caplog.text
    assert "conduit node" in caplog.text
    asked = settings(DEFAULT_API_KEY=KEY, CONDUIT_ADMIN_KEY_FILE=tmp_path / "key")
    await offer_first_key(asked, tenancy)
    assert tenancy.registry.has_admin()


async def test_that_no_operator_is_left_is_said_at_the_next_start(tenancy, tmp_path, caplog):
    await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=tmp_path / "key"), tenancy)
    caplog.clear()
    await offer_first_key(settings(), tenancy)
    assert not caplog.records
    operator = tenancy.registry.authenticate((tmp_path / "key").read_bytes().strip())
    await tenancy.accounts.revoke_key(operator, tenancy.registry.keys("default")[0].key_id)
    await offer_first_key(settings(), tenancy)
    assert "conduit store admin-key" in caplog.text


async def test_a_store_with_keys_whose_server_asks_for_none_is_told_of(
    kit, tenancy, tmp_path, caplog
):
    await warn_of_open_keys(kit.store)
    assert not caplog.records
    await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=tmp_path / "key"), tenancy)
    caplog.clear()
    await warn_of_open_keys(kit.store)
    assert "this store has 1 key and 1 tenant," in caplog.text
    assert "ENABLE_AUTH is not set" in caplog.text


async def test_a_file_whose_key_is_of_no_use_is_told_of(tenancy, tmp_path, caplog):
    good, bad = tmp_path / "good", tmp_path / "bad"
    await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=good), tenancy)
    text = good.read_text().strip()
    # As of a start that was killed while another server made the key.
    bad.write_text(f"{text[:-6]}{'A' if text[-6] != 'A' else 'B'}{text[-5:]}\n")
    caplog.clear()
    for path in (good, tmp_path / "none", tmp_path):
        await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), tenancy)
    assert not caplog.records
    await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=bad), tenancy)
    assert f"the key in {bad} is not one of this store" in caplog.text
    assert "ck_live_" not in caplog.text


async def test_of_two_servers_at_once_the_one_that_made_it_says_where_it_is(
    kit, tenancy, tmp_path, caplog
):
    other = await open_tenancy(kit.store, kit.clock, AuthOptions(), Slots(2))
    paths = [tmp_path / "one", tmp_path / "two"]
    await asyncio.gather(
        *(
            offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), one)
            for path, one in zip(paths, (tenancy, other), strict=True)
        )
    )
    (made,) = (path for path in paths if path.exists())
    said = [record.getMessage() for record in caplog.records if "first admin" in record.message]
    assert [str(made) in one for one in said] == [True]
    await other.close()


async def test_a_full_disk_leaves_no_key_that_nobody_has(tenancy, tmp_path, monkeypatch):
    def fails(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "key"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(ConfigError, match="No space left"):
            await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), tenancy)
    assert not tenancy.registry.has_keys
    assert not path.exists()
    await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), tenancy)
    assert tenancy.registry.authenticate(path.read_bytes().strip()).may("admin")


@pytest.mark.parametrize(("error", "stays"), [(StoreUnavailable, False), (OutcomeUnknown, True)])
async def test_a_store_that_fails_leaves_no_file_unless_its_key_may_count(
    tenancy, tmp_path, monkeypatch, error, stays
):
    async def fails(record, expected):
        raise error("away")

    monkeypatch.setattr(tenancy.accounts._store, "key_put", fails)
    path = tmp_path / "key"
    with pytest.raises(error):
        await offer_first_key(settings(CONDUIT_ADMIN_KEY_FILE=path), tenancy)
    assert path.exists() == stays
