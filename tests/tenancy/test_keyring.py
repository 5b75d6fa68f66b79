import logging
from contextlib import asynccontextmanager

import pytest
from joserfc.jwk import ECKey

from conduit.errors import Unavailable
from conduit.tenancy.claims import Refused
from conduit.tenancy.keyring import PACE, Keyring, Pace
from tests.tenancy.kit import HandClock, described, fact, identity_provider

ONE, TWO = (ECKey.generate_key("P-256", parameters={"kid": name}) for name in ("one", "two"))


@asynccontextmanager
async def running(*keys, clock=None, pace=PACE, **changes):
    """A provider with these keys, and a keyring that has tried to fetch them."""
    async with identity_provider() as provider:
        provider.publish(*keys)
        keyring = Keyring(described(provider, **changes), clock=clock or HandClock(), pace=pace)
        keyring.start()
        await keyring.tried()
        try:
            yield provider, keyring
        finally:
            await keyring.close()


def later(keyring, key_id):
    with pytest.raises(Unavailable) as raised:
        keyring.key(key_id, "ES256")
    assert raised.value.code == "unavailable"
    assert key_id not in raised.value.detail
    return raised.value.retry_after_s


def no_key(keyring, key_id, algorithm="ES256"):
    with pytest.raises(Refused) as raised:
        keyring.key(key_id, algorithm)
    return raised.value.reason


async def test_keys_are_there_once_they_were_fetched():
    async with running(ONE, TWO) as (provider, keyring):
        assert keyring.key("one", "ES256").as_dict()["x"] == ONE.as_dict()["x"]
        assert keyring.count == 2
        assert keyring.problem is None
        assert len(provider.asked) == 1


async def test_before_the_first_fetch_who_asks_is_told_to_come_again():
    async with identity_provider() as provider:
        provider.publish(ONE)
        keyring = Keyring(described(provider))
        assert later(keyring, "one") == 1
        keyring.start()
        assert later(keyring, "one") == 1
        await keyring.tried()
        assert keyring.key("one", "ES256")
        await keyring.close()
        assert len(provider.asked) == 1


async def test_a_key_that_is_not_known_has_them_fetched_at_most_every_ten_seconds():
    clock = HandClock()
    async with running(ONE, clock=clock) as (provider, keyring):
        generation = keyring.generation
        provider.publish(ONE, TWO)
        # Just fetched: there is none.
        clock.now_s += 9.9
        for _ in range(100):
            assert no_key(keyring, "two") == "unknown_key"
        clock.now_s += 0.1
        for _ in range(100):
            assert later(keyring, "two") == 1
        await fact(lambda: keyring.count == 2)
        assert keyring.key("two", "ES256")
        assert keyring.generation > generation
        assert len(provider.asked) == 2
        # Whatever is asked for in between, the same holds again.
        for at in range(100):
            assert no_key(keyring, f"none-{at}") == "unknown_key"
        assert len(provider.asked) == 2


async def test_a_key_for_another_algorithm_is_no_reason_to_fetch():
    clock = HandClock()
    async with running(ONE, clock=clock) as (provider, keyring):
        clock.now_s += 1_000
        assert no_key(keyring, "one", "RS256") == "algorithm"
        assert len(provider.asked) == 1


async def test_a_key_that_was_withdrawn_counts_no_more_also_if_none_is_left():
    clock = HandClock()
    async with running(ONE, clock=clock) as (provider, keyring):
        for keys in ((TWO,), ()):
            provider.publish(*keys)
            generation = keyring.generation
            clock.now_s += 10
            later(keyring, "three")
            await fact(lambda before=generation: keyring.generation != before)
            assert no_key(keyring, "one") == "unknown_key"
        assert keyring.count == 0


async def test_they_are_fetched_again_without_being_asked_for():
    async with running(ONE, pace=Pace(refresh_s=0.01)) as (provider, keyring):
        await fact(lambda: len(provider.asked) >= 3)
        provider.publish(TWO)
        await fact(lambda: keyring._current().has("two"))


async def test_the_same_keys_are_no_change():
    async with running(ONE, pace=Pace(refresh_s=0.01)) as (provider, keyring):
        generation = keyring.generation
        await fact(lambda: len(provider.asked) >= 4)
        assert keyring.generation == generation


async def test_keys_that_cannot_be_fetched_stay_and_are_told_of_seldom(caplog):
    caplog.set_level(logging.INFO)
    clock = HandClock()
    pace = Pace(refresh_s=0.01, unknown_s=0.01)
    async with running(ONE, clock=clock, pace=pace) as (provider, keyring):
        generation = keyring.generation
        provider.status = "500 Oops"
        await fact(lambda: keyring._failed_count >= 4)
        assert keyring.problem == "the answer is HTTP 500"
        assert keyring.key("one", "ES256")
        assert keyring.generation == generation
        provider.status, provider.body = "200 OK", b"no keys"
        clock.now_s += 60
        await fact(lambda: keyring.problem == "it is not a JSON object that can be used")
        provider.publish(ONE)
        await fact(lambda: keyring.problem is None)
    told = [record.getMessage() for record in caplog.records if "provider" in record.getMessage()]
    assert told[0] == "the identity provider at 127.0.0.1 has 1 keys that can be used"
    assert "cannot be fetched (1 times): the answer is HTTP 500" in told[1]
    assert told[-1] == "the keys of the identity provider at 127.0.0.1 are there again"
    assert len(told) <= 4


async def test_while_they_cannot_be_fetched_nobody_is_told_that_there_is_no_such_key():
    clock = HandClock()
    async with running(clock=clock) as (provider, keyring):
        provider.status = "500 Oops"
        clock.now_s += 10
        assert later(keyring, "one") == 1
        await fact(lambda: keyring.problem)
        clock.now_s += 2
        assert later(keyring, "one") == 8
        assert len(provider.asked) == 2


async def test_keys_that_are_too_old_count_no_more(caplog):
    clock = HandClock()
    async with running(ONE, clock=clock, max_age_s=600) as (provider, keyring):
        provider.status = "500 Oops"
        generation = keyring.generation
        clock.now_s += 600
        assert keyring.key("one", "ES256")
        assert later(keyring, "two") == 1
        await fact(lambda: keyring.problem)
        clock.now_s += 0.1
        assert later(keyring, "one")
        assert keyring.count == 0
        assert keyring.generation > generation
        assert "for 600 s: none counts any more" in caplog.text
        # The same document makes them count again.
        provider.status = "200 OK"
        clock.now_s += 10
        later(keyring, "one")
        await fact(lambda: keyring.count == 1)


async def test_those_that_were_left_out_are_told_of(caplog):
    caplog.set_level(logging.INFO)
    async with running(ONE, {"kid": "x"}):
        pass
    assert "has 1 keys that can be used; left out: 1 no pinned algorithm" in caplog.text


async def test_a_fetch_that_is_under_way_is_given_up_at_the_end():
    async with identity_provider() as provider:
        provider.is_silent = True
        keyring = Keyring(described(provider))
        keyring.start()
        await fact(lambda: provider.asked)
        assert later(keyring, "one") == 1
        await keyring.close()
        await keyring.close()
    await Keyring(described(provider)).close()


async def test_a_bug_does_not_end_it(caplog):
    # No setting can have that name, so nothing is made for it.
    bug = {"algorithms": ("unheard of",), "pace": Pace(unknown_s=0.01, refresh_s=0.01)}
    async with running(ONE, **bug) as (provider, keyring):
        await fact(lambda: len(provider.asked) >= 3)
        assert keyring.problem == "the server made an error"
    assert "KeyError" in caplog.text


def test_after_failures_they_are_fetched_soon_and_then_as_seldom_as_otherwise():
    keyring = Keyring(described(type("P", (), {"port": 1})))
    pauses = []
    for _ in range(8):
        keyring._failed("x")
        pauses.append(keyring._pause_s())
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
