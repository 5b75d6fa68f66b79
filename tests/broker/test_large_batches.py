"""Batches with so much in them that a turn of the loop has no time to look at all of it."""

from __future__ import annotations

import msgspec
import pytest

from conduit.broker.publish import publisher
from conduit.broker.turn import STEPS_MAX_S
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import running_broker
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
        assert bench.broker._publisher._looking_bytes == 0


async def test_of_large_batches_no_more_than_a_bound_waits_to_be_looked_at(monkeypatch):
    monkeypatch.setattr(publisher, "LOOKING_MAX_BYTES", 1_000_000)
    async with running_broker() as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        requests, answers = [PublishRequest("a", NESTED)] * 100, []
        for _ in range(5):
            bench.broker.publish_batch(DEFAULT_TENANT, requests, answers.append)
            assert 0 < bench.broker._publisher._looking_bytes <= 1_000_000
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
        assert bench.broker._publisher._looking_bytes == 0
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
