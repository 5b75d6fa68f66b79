"""What other servers have made, before somebody is told that he is not known."""

import asyncio

import pytest

from conduit.errors import NotFound, StoreUnavailable, Unauthenticated
from conduit.limits import NO_LIMITS
from conduit.tenancy import catching_up
from conduit.tenancy.catching_up import (
    LOOK_INTERVAL_S,
    WAITING_MAX_COUNT,
    CatchingUp,
    after,
    is_spelled,
)
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from tests.tenancy.registered import Kit, another, running_kit


class Counted:
    """A store that is asked: when, and what it does then."""

    def __init__(self) -> None:
        self.asked_at: list[float] = []
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: Exception | None = None

    async def refresh(self) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        self.asked.set()
        await self.answers.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
async def store():
    return Counted()


@pytest.fixture
async def looks(store):
    looks = CatchingUp(store.refresh)
    looks.may_be_shared = lambda: True
    yield looks
    await looks.close()


@pytest.fixture
async def kit():
    async with running_kit() as kit:
        yield kit


async def test_who_has_the_store_alone_asks_nothing(store):
    looks = CatchingUp(store.refresh)
    assert looks.ask() is None
    with pytest.raises(NotFound):
        await looks.find(_nothing)
    assert store.asked_at == []


def _nothing() -> None:
    raise NotFound("nothing")


async def test_all_who_ask_before_it_begins_share_a_look_and_later_ones_have_the_next(store, looks):
    first = looks.ask()
    assert looks.ask() is first
    await after(first)
    second = looks.ask()
    assert second is not first
    await after(second)
    assert len(store.asked_at) == 2


async def test_a_look_that_has_begun_is_not_for_who_comes_then(store, looks):
    store.answers.clear()
    first = looks.ask()
    await store.asked.wait()
    second = looks.ask()
    assert second is not first
    store.answers.set()
    await after(second)
    assert first.done()
    assert len(store.asked_at) == 2


async def test_looks_keep_their_distance_however_many_ask(store, looks):
    for _ in range(5):
        await after(looks.ask())
    apart = [b - a for a, b in zip(store.asked_at, store.asked_at[1:], strict=False)]
    assert len(apart) == 4
    # The loop's clock may be a little early.
    assert min(apart) >= LOOK_INTERVAL_S - 0.002


async def test_of_more_than_may_wait_the_rest_hears_at_once(store, looks):
    first = looks.ask()
    assert all(looks.ask() is first for _ in range(WAITING_MAX_COUNT - 1))
    assert looks.ask() is None
    await after(first)
    assert looks.ask() is not None


async def test_a_store_that_does_not_answer_keeps_nobody_for_long(store, looks, monkeypatch):
    monkeypatch.setattr(catching_up, "LOOK_TIMEOUT_S", 0.01)
    store.answers.clear()
    # The second one waits for the first, which has no answer.
    await after(looks.ask())
    await after(looks.ask())
    assert len(store.asked_at) == 1
    with pytest.raises(NotFound):
        await looks.find(_nothing)


async def test_a_look_that_fails_ends_as_one_that_found_nothing(store, looks, caplog):
    store.error = StoreUnavailable("away")
    await after(looks.ask())
    assert not caplog.records
    store.error = ValueError("a bug")
    await after(looks.ask())
    assert "could not be read" in caplog.text
    store.error = None
    await after(looks.ask())
    assert len(store.asked_at) == 3


async def test_what_another_server_has_made_is_found(kit: Kit):
    elsewhere = another(kit)
    elsewhere.registry.catching_up.may_be_shared = lambda: True
    made = await kit.key()
    await kit.accounts.create_tenant("acme", NO_LIMITS)
    registry, credential = elsewhere.registry, made.text.encode()
    caller = await registry.catching_up.find(lambda: registry.authenticate(credential))
    assert caller.key_id == made.record.key_id
    await kit.accounts.create_tenant("blue", NO_LIMITS)
    assert (await registry.catching_up.find(lambda: registry.tenant("blue"))).name == "blue"
    with pytest.raises(NotFound):
        await registry.catching_up.find(lambda: registry.tenant("red"))
    wrong = credential[:17] + b"x" + credential[18:]
    with pytest.raises(Unauthenticated):
        await registry.catching_up.find(lambda: registry.authenticate(wrong))
    await registry.close()


async def test_only_what_looks_as_a_key_or_token_is_worth_a_look(kit: Kit):
    made = await kit.key()
    key = made.text.encode()
    assert is_spelled(key)
    assert is_spelled(b"eyJhbGciOiJIUzI1NiJ9.e30.x")
    for text in (b"", b"x", key[:-1], key[:-1] + b"!", b"ey" + b"x" * CREDENTIAL_MAX_BYTES):
        assert not is_spelled(text)
