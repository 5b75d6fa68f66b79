"""Batches with so much in them that a turn of the loop has no time to look at all of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from conduit.broker.publish import looks
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.turn import STEPS_MAX_S
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import Bench, running_broker
from tests.broker.test_turn import Ticking

# Its depth is found only by a close look.
NESTED = msgspec.Raw(b"[%b]" % b",".join([b"[1]"] * 2_000))


async def test_the_payloads_of_a_large_batch_are_looked_at_over_many_turns_and_singles_pass():
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        answers = []
        # As if each step took all the time that a turn has for them.
        bench.broker.turn._now = Ticking(STEPS_MAX_S)
        requests = [PublishRequest("a", NESTED)] * 100
        bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
        receipt = await bench.publish("a")
        assert receipt.seq == 1
        assert not answers
        await bench.until(lambda: answers)
        assert [one.seq for one in answers[0]] == list(range(2, 102))
        assert bench.broker._publisher._looks.size_bytes == 0


async def test_large_batches_of_one_tenant_take_turns_with_those_of_another():
    async with running_broker() as bench:
        answers: list[str] = []
        for tenant in (DEFAULT_TENANT, "other"):
            await bench.broker.topics.create(tenant, "a")
        # As if each step took all the time that a turn has for them.
        bench.broker.turn._now = Ticking(STEPS_MAX_S)
        requests = [PublishRequest("a", NESTED)] * 50
        for number in range(6):
            bench.broker.publish_batch(
                DEFAULT_TENANT, requests, lambda _, number=number: answers.append(f"a{number}")
            )
        bench.broker.publish_batch("other", requests, lambda _: answers.append("b"))
        await bench.until(lambda: len(answers) == 7)
        assert answers.index("b") <= 2
        assert [each for each in answers if each != "b"] == [f"a{number}" for number in range(6)]


async def test_of_large_batches_no_more_than_a_bound_waits_to_be_looked_at(monkeypatch):
    monkeypatch.setattr(looks, "LOOKING_MAX_BYTES", 1_000_000)
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        requests, answers = [PublishRequest("a", NESTED)] * 100, []
        for _ in range(5):
            bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
            assert 0 < bench.broker._publisher._looks.size_bytes <= 1_000_000
        await bench.until(lambda: len(answers) == 5)
        assert all(len(answer) == 100 for answer in answers)


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"[" * 200 + b"]" * 200, "json_too_deep"), (b"1" * 300_000, "payload_too_large")],
    ids=["deep", "large"],
)
async def test_a_large_batch_with_a_payload_that_is_refused_is_not_stored(payload, code):
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        requests = [PublishRequest("a", each) for each in [NESTED] * 100 + [msgspec.Raw(payload)]]
        answers = []
        bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
        await bench.until(lambda: answers)
        assert (answers[0].code, answers[0].field) == (code, "messages[100].payload")
        assert bench.broker._publisher._looks.size_bytes == 0
        assert (await bench.publish("a")).seq == 1


async def test_a_large_batch_that_is_looked_at_is_stored_before_the_broker_stops():
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        answers = []
        bench.broker.publish_batch(
            DEFAULT_TENANT, [PublishRequest("a", NESTED)] * 100, answers.append
        )
        await bench.broker.stop()
        assert len(answers[0]) == 100


def come_together(bench: Bench, sinces: list[float]) -> list[list]:
    """A large batch for each, which its publisher has waited with since then; returns their answers."""
    # As if each step took all the time that a turn has for them.
    bench.broker.turn._now = Ticking(STEPS_MAX_S)
    answers: list[list] = [[] for _ in sinces]
    for since, answer in zip(sinces, answers, strict=True):
        requests = [PublishRequest("a", NESTED)] * 100
        bench.broker.publish_batch(DEFAULT_TENANT, requests, answer.append, since)
    return answers


async def test_the_first_of_those_that_come_together_is_stored_before_the_next_is_looked_at():
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        now = asyncio.get_running_loop().time()
        # Of those that wait, who has waited longest is the next.
        answers = come_together(bench, [now, now, now - 1])

        def waiting() -> list[int]:
            return [number for number, answer in enumerate(answers) if not answer]

        for which in ([1, 2], [1]):
            await bench.until(lambda which=which: len(waiting()) == len(which))
            for _ in range(90):
                assert waiting() == which
                await asyncio.sleep(0)
        await bench.until(lambda: not waiting())
        assert [answer[0][0].seq for answer in answers] == [1, 201, 101]


async def test_who_has_waited_too_long_for_the_others_is_refused_without_a_look():
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        timeout_s = bench.broker._publisher._admission.timeout_s
        now = asyncio.get_running_loop().time()
        answers = come_together(bench, [now, now - timeout_s, now - timeout_s])
        await bench.until(lambda: answers[1] and answers[2])
        assert not answers[0]
        assert [answer[0].code for answer in answers[1:]] == ["overloaded", "overloaded"]
        await bench.until(lambda: answers[0])
        assert [one.seq for one in answers[0][0]] == list(range(1, 101))
        assert bench.broker._publisher._looks.size_bytes == 0


async def test_one_whose_time_is_over_while_it_is_looked_at_is_refused_then():
    options = PublishLimits(timeout_s=0.01)
    async with running_broker(publish=options) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        bench.broker.turn._now = Ticking(STEPS_MAX_S)
        answers = []
        requests = [PublishRequest("a", NESTED)] * 1_000
        bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
        await bench.until(lambda: answers)
        assert "too many large batches" in answers[0].told
