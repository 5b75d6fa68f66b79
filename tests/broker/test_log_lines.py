"""What an operator reads in the log of what clients and operators have done."""

import logging

import pytest

from conduit.protocol.frames import Reject, StartAt, StartPosition
from conduit.storage.dead_letters import DeadFilter
from tests.broker.kit import running_broker

T = "default"


@pytest.fixture
async def bench():
    async with running_broker() as bench:
        await bench.broker.topics.create(T, "t")
        await bench.broker.subscriptions.create(T, "s", "t", bench.durable_settings(), None)
        yield bench


@pytest.fixture
def lines(caplog):
    """The lines that were logged since, as text."""
    caplog.set_level(logging.INFO)
    return lambda: caplog.messages


async def die(bench, count):
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", count)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"]))
    await bench.flush()


async def test_a_deleted_topic_is_told_with_what_was_in_it(bench, lines):
    await bench.publish_many("t", 3)
    await bench.broker.topics.delete(T, "t")
    assert lines() == ["topic 't' is deleted; messages in it: 3"]


async def test_a_deleted_subscription_is_told(bench, lines):
    await bench.broker.subscriptions.delete(T, "s")
    assert lines() == ["subscription 's' is deleted"]


async def test_a_pause_and_its_end_are_told(bench, lines):
    await bench.broker.subscriptions.pause(T, "s")
    await bench.broker.subscriptions.resume(T, "s")
    assert lines() == ["subscription 's' is paused", "subscription 's' is resumed"]


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("earliest", "earliest"),
        (StartAt(time="2026-11-28T00:00:00.000Z"), '{"time":"2026-11-28T00:00:00.000Z"}'),
        (StartAt(positions={"t": StartPosition(1)}), '{"positions":{"t":{"seq":1}}}'),
    ],
)
async def test_a_seek_is_told_with_where_to(bench, lines, start, text):
    await bench.broker.subscriptions.seek(T, "s", start, dry_run=True)
    assert lines() == []
    await bench.broker.subscriptions.seek(T, "s", start, dry_run=False)
    assert lines() == [f"subscription 's' was moved by a seek to {text}; topics: 1"]


async def test_a_redrive_job_is_told_when_it_begins_and_when_it_ends(bench, lines):
    await die(bench, 3)
    jobs = bench.broker.dead_letters.jobs
    which = DeadFilter(subscription="s", q="payload that is nobody's business")
    job = jobs.start(T, which, rate_per_s=1e9, max_count=10)
    await bench.until(lambda: job.state == "done")
    begun, ended = lines()
    assert begun == (
        f"redrive job {job.job_id}: up to 10 dead letters of 's' in all topics, 1e+09 a second"
    )
    assert ended == (
        f"redrive job {job.job_id} is done: 0 of 0 redriven, 0 failed; nothing matches: there is no "
        "such dead letter that was not redriven"
    )


async def test_what_was_discarded_is_told_as_one_number(bench, lines):
    await die(bench, 3)
    jobs = bench.broker.dead_letters.jobs
    which = DeadFilter(topic="t")
    job = jobs.start(T, which, rate_per_s=1e9, max_count=10, action="discard")
    await bench.until(lambda: job.state == "done")
    begun, ended = lines()
    assert begun == (
        f"discard job {job.job_id}: up to 10 dead letters of all subscriptions in 't', 1e+09 a second"
    )
    assert ended == f"discard job {job.job_id} is done: 3 of 3 discarded, 0 failed"


async def test_a_subscription_that_is_moved_away_is_told_with_the_reason(bench, lines):
    await bench.subscribe("t", subscription="s")
    record = bench.broker._owned.get(T, "s")
    bench.broker._owned.move_away(record, "it runs on another node now")
    assert lines() == [
        "subscription 's' does not run here any more: it runs on another node now; "
        "its subscribers here: 1"
    ]


async def test_a_name_of_another_tenant_is_said_with_the_tenant(bench, lines):
    await bench.broker.topics.create("acme", "t")
    await bench.broker.topics.delete("acme", "t")
    assert lines() == ["topic 't' of tenant 'acme' is deleted; messages in it: 0"]
