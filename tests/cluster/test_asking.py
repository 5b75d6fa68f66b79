"""Asking nodes what they do, and answering: over real links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

from conduit.broker.stats import Gauges, Rates
from conduit.cluster.answering import Answering
from conduit.cluster.asking import ASKING_MAX_COUNT, Asking
from conduit.cluster.figures import Point
from conduit.cluster.inquiries import (
    ACTIVITY,
    ATTENTION,
    BUSIEST,
    CANCEL,
    HISTORY,
    JOB,
    JOBS,
    POINTS_STEP_COUNT,
    STATE,
    STATS,
    SUBSCRIBERS,
    USAGE,
    Kind,
    Question,
    State,
    decode_points_in_steps,
    encode_question,
)
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.requests import Asked
from conduit.cluster.own_state import OwnState
from conduit.cluster.this_node import ThisNode
from conduit.errors import Conflict, InvalidRequest, NotFound, Unavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import Bench, running_broker
from tests.cluster.links.kit import Node, Recorder, linked, meet

ID = "0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"
# More than it takes to answer, and less than a node waits for.
SOON_S = 0.9


class Replying(Recorder):
    """Answers what nodes ask of what it does, as the server does."""

    answering: Answering | None = None

    def on_request(self, node: Identity, asked: Asked) -> None:
        if self.answering is None or not self.answering.serve(asked):
            super().on_request(node, asked)


class Pair(NamedTuple):
    """A node that asks, another one that answers, and what that does."""

    asking: Asking
    ours: Node
    theirs: Node
    recorder: Replying
    bench: Bench

    @property
    def own_state(self) -> OwnState:
        return OwnState(self.bench.broker, lambda: 14, self.theirs.links.views)

    def serve(self) -> None:
        self.recorder.answering = Answering(self.theirs.own, self.own_state)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    recorder = Replying()
    ours, theirs = Node("ours"), Node("theirs", recorder=recorder)
    this = ThisNode("ours", "x:1", 0)
    async with running_broker() as bench:
        for node in (ours, theirs):
            await node.start()
        meet(ours, theirs)
        await linked(ours, theirs)
        yield Pair(Asking(lambda: this, lambda: ours.links), ours, theirs, recorder, bench)
        for node in (ours, theirs):
            await node.stop()


async def test_a_node_says_what_it_does(pair: Pair):
    pair.serve()
    bench = pair.bench
    await bench.broker.topics.create(T, "t")
    await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    state = (await pair.asking.each(["theirs"], STATE, Question())).said["theirs"]
    assert (state.connections, state.owned_subscriptions) == (14, 1)
    assert [(link.name, link.state) for link in state.links] == [("ours", "up")]
    whole = (await pair.asking.each(["theirs"], STATS, Question())).said["theirs"]
    assert (whole.published_count, whole.gauges.subscriber_count) == (3, 1)
    assert whole == pair.own_state.figures(None)


async def test_what_is_asked_for_a_tenant_is_of_that_one(pair: Pair):
    pair.serve()
    bench = pair.bench
    await bench.broker.topics.create(T, "t")
    await bench.subscribe("t.>")
    await bench.publish_many("t", 3)
    for tenant, count in ((T, 3), ("acme", 0)):
        question = Question(tenant=tenant)
        said = (await pair.asking.each(["theirs"], STATS, question)).said["theirs"]
        assert said.published_count == count
        question = Question(tenant=tenant, names=["t", "t.x"])
        counts = (await pair.asking.each(["theirs"], SUBSCRIBERS, question)).said["theirs"]
        # Also of a topic that is not known there.
        assert counts == ([0, 1] if tenant == T else [0, 0])
    # From the first time on that somebody asks.
    question = Question(tenant="acme")
    assert (await pair.asking.each(["theirs"], HISTORY, question)).said["theirs"] == []
    bench.broker.histories.sample(bench.clock.now() + 5.0, bench.clock.wall_ms())
    [point] = (await pair.asking.each(["theirs"], HISTORY, question)).said["theirs"]
    assert (point.age_ms, point.rates.published) == (0, 0)
    uses = (await pair.asking.each(["theirs"], USAGE, Question(names=["acme", T]))).said["theirs"]
    assert [(use.connections, use.pending_retries) for use in uses] == [(0, 0), (0, 0)]


async def test_a_node_says_what_went_through_topics_and_what_needs_a_look(pair: Pair):
    pair.serve()
    bench = pair.bench
    await bench.broker.topics.create(T, "t")
    await bench.publish_many("t", 3)
    for _ in range(10):
        bench.broker.activities.tick()
    for inquiry, question, names in (
        (BUSIEST, Question(), ["t"]),
        (BUSIEST, Question(tenant=T), ["t"]),
        (BUSIEST, Question(tenant="acme"), []),
        (BUSIEST, Question(tenant=T, patterns=["t", "a.*"]), ["t"]),
        (BUSIEST, Question(tenant=T, patterns=["a.*"]), []),
        (BUSIEST, Question(tenant=T, limit=0), []),
        (ACTIVITY, Question(tenant=T, names=["t", "x"]), ["t"]),
    ):
        said = (await pair.asking.each(["theirs"], inquiry, question)).said["theirs"]
        assert [each.name for each in said] == names
        assert [each.published[-1] for each in said] == [3] * len(names)
    said = (await pair.asking.each(["theirs"], ATTENTION, Question())).said["theirs"]
    assert said.age_s is None
    await bench.rest()
    said = (await pair.asking.each(["theirs"], ATTENTION, Question())).said["theirs"]
    assert said.age_s == 0


async def test_without_a_tenant_nobody_is_told_of_a_tenants_things(pair: Pair):
    pair.serve()
    # No names are none, and not all.
    answers = await pair.asking.each(["theirs"], JOBS, Question())
    assert "needs a tenant" in answers.unanswered["theirs"]
    for inquiry in (SUBSCRIBERS, ACTIVITY, JOB, CANCEL):
        for question in (Question(names=["t"]), Question(tenant=T)):
            answers = await pair.asking.each(["theirs"], inquiry, question)
            assert "needs a tenant" in answers.unanswered["theirs"]


async def test_a_job_is_found_and_cancelled_for_its_tenant_alone(pair: Pair):
    pair.serve()
    jobs = pair.bench.broker.dead_letters.jobs
    job = jobs.start(T, DeadFilter(), rate_per_s=1.0, max_count=1)
    for tenant, job_id in (("acme", job.job_id), (T, ID)):
        question = Question(tenant=tenant, names=[job_id])
        for inquiry in (JOB, CANCEL):
            answers = await pair.asking.each(["theirs"], inquiry, question)
            assert answers.said == {"theirs": []}
    for tenant, jobs_of in (("acme", []), (T, [job])):
        answers = await pair.asking.each(["theirs"], JOBS, Question(tenant=tenant))
        assert answers.said == {"theirs": jobs_of}
    question = Question(tenant=T, names=[job.job_id])
    [found] = (await pair.asking.each(["theirs"], JOB, question)).said["theirs"]
    assert found == jobs.get(T, job.job_id)


async def test_another_run_of_the_node_does_not_answer_for_it(pair: Pair):
    pair.serve()
    link = pair.ours.link_to(pair.theirs)
    body = encode_question(Question(incarnation=pair.ours.own.incarnation))
    with pytest.raises(Unavailable, match="another run"):
        await link.ask(Kind.STATE, body, SOON_S)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        await link.ask(Kind.STATE, b"\xc1", SOON_S)


async def test_who_says_nothing_in_a_second_is_named_and_the_others_are_heard(pair: Pair):
    pair.recorder.answer = lambda _: None
    began = asyncio.get_running_loop().time()
    answers = await pair.asking.each(["theirs", "nobody"], STATE, Question())
    assert asyncio.get_running_loop().time() - began < 2 * SOON_S
    assert answers.said == {}
    assert "did not answer in time" in answers.unanswered["theirs"]
    assert "no link to node nobody" in answers.unanswered["nobody"]


async def test_what_cannot_be_read_is_no_answer_nor_is_an_error_and_what_is_new_is_left_out(
    pair: Pair,
):
    rates = Rates(1.0, 2.0, 3.0, 4.0, 5.0)
    state = State(1, 2, rates, [])
    newer = msgspec.msgpack.encode(msgspec.to_builtins(state) | {"new": 1})
    for answer, said in (
        (b"\xc1", "cannot be read"),
        (msgspec.msgpack.encode({"connections": 1}), "cannot be read"),
        (InvalidRequest("this version answers no 'node.state'"), "this version"),
        (newer, state),
    ):
        pair.recorder.answer = lambda _, answer=answer: answer
        answers = await pair.asking.each(["theirs"], STATE, Question())
        if said == state:
            assert answers.said == {"theirs": state}
        else:
            assert said in answers.unanswered["theirs"]


async def test_a_long_history_is_read_in_steps_and_whole_or_not_at_all(pair: Pair):
    rates, gauges = Rates(1.0, 2.0, 3.0, 4.0, 5.0), Gauges(1, 2, 3)
    ages = range(3 * POINTS_STEP_COUNT, 0, -1)
    points = [Point(age, rates, gauges, 1, [age], [1, 2]) for age in ages]
    body = msgspec.msgpack.encode(points)
    steps = [len(found) for found in decode_points_in_steps(body)]
    assert steps == [POINTS_STEP_COUNT, 2 * POINTS_STEP_COUNT, 3 * POINTS_STEP_COUNT]
    wrong = msgspec.msgpack.encode([*msgspec.to_builtins(points), {"age_ms": "x"}])
    for answer, said in (
        (body, {"theirs": points}),
        (wrong, {}),
        (b"\xc1", {}),
        (b"\x90", {"theirs": []}),
    ):
        pair.recorder.answer = lambda _, answer=answer: answer
        answers = await pair.asking.each(["theirs"], HISTORY, Question())
        assert answers.said == said
        assert bool(answers.unanswered) == (not said)


async def test_who_asks_when_too_many_do_is_told_so_at_once(pair: Pair):
    pair.recorder.answer = lambda _: None
    loop = asyncio.get_running_loop()
    asked = [
        loop.create_task(pair.asking.each(["theirs"], STATE, Question()))
        for _ in range(ASKING_MAX_COUNT)
    ]
    await asyncio.sleep(0)
    answers = await pair.asking.each(["theirs"], STATE, Question())
    assert "are open already" in answers.unanswered["theirs"]
    # Another tenant has its share all the same.
    asked.append(loop.create_task(pair.asking.each(["theirs"], STATE, Question(tenant="other"))))
    await asyncio.sleep(0.05)
    assert not asked[-1].done()
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    # What is given up takes no place.
    pair.serve()
    assert (await pair.asking.each(["theirs"], STATE, Question())).said


async def test_a_node_that_is_alone_asks_nobody(pair: Pair):
    assert pair.asking.others() == []
    assert await pair.asking.all(STATE, Question()) == ({}, {})
    with pytest.raises(NotFound, match="no node 'theirs'"):
        await pair.asking.one("theirs", STATE, Question())


async def test_without_links_it_is_said_why():
    this = ThisNode("ours", "x:1", 0)
    answers = await Asking(lambda: this, lambda: None).each(["b"], STATE, Question())
    assert "INTERNAL_SECRET" in answers.unanswered["b"]


async def test_of_one_that_is_asked_a_conflict_is_told_and_any_other_error_is_silence(pair: Pair):
    class Knowing(ThisNode):
        """Knows the other one, as a node with a lease does."""

        def views(self):
            found = super().views()
            return [*found, msgspec.structs.replace(found[0], id="theirs")]

    this = Knowing("ours", "x:1", 0)
    asking = Asking(lambda: this, lambda: pair.ours.links)
    assert asking.others() == ["theirs"]
    pair.recorder.answer = lambda _: Conflict("the job is done already")
    with pytest.raises(Conflict, match="done already"):
        await asking.one("theirs", CANCEL, Question())
    pair.recorder.answer = lambda _: InvalidRequest("what?")
    with pytest.raises(Unavailable, match="node theirs does not answer: what") as raised:
        await asking.one("theirs", CANCEL, Question())
    assert raised.value.code == "node_unreachable"
    # Of what changes nothing silence is silence; of an order nobody knows whether it was heard.
    for answer in (None, b"\xc1"):
        pair.recorder.answer = lambda _, answer=answer: answer
        for inquiry, code in ((JOB, "node_unreachable"), (CANCEL, "outcome_unknown")):
            with pytest.raises(Unavailable) as raised:
                await asking.one("theirs", inquiry, Question())
            assert raised.value.code == code
