"""What may happen while a node asks what it has left, and while it loads."""

from __future__ import annotations

import pytest

from conduit.broker.deliver import ownership
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Subscribe
from tests.broker.nodes import ack, asked, begun, comes


async def test_an_answer_of_another_term_is_dropped(owners, leased):
    a, b = owners
    await a.hold()
    _, peer = await a.subscribe()
    await a.lose()
    await a.bench.publish("t")
    leased.held.add("owned")
    await a.hold()
    await a.bench.until(lambda: leased.waiting == ["owned"])
    # It has answered, and nobody has heard that: the lease is lost, another node claims, and gives it up.
    await a.lose()
    await b.hold()
    attached, _ = await b.subscribe()
    attached.close()
    await b.bench.flush()
    leased.held.clear()
    await a.hold()
    assert peer.seqs == []
    leased.release()
    await a.bench.until(lambda: peer.closed is not None)
    assert (peer.seqs, peer.closed[0]) == ([], CLOSE_MOVED)
    assert asked(leased, "owned") == 2


@pytest.mark.parametrize("where", ["claim", "claimed", "progress"])
async def test_what_was_claimed_under_a_lease_that_is_lost_meanwhile_is_asked_for(
    owners, leased, where
):
    a, b = owners
    await a.hold()
    await a.bench.publish("t")
    leased.held.add(where)
    attached, peer = a.bench.connect()
    loading = begun(attached.subscribe(Subscribe("t", subscription="s", start="earliest")))
    await a.bench.until(lambda: leased.waiting == [where])
    await a.lose()
    leased.held.clear()
    if where != "claim":
        await b.hold()
        _, other = await b.subscribe()
        await b.hear()
        assert other.seqs == [1]
    # Before it runs here.
    await a.hold()
    leased.release()
    await loading
    await a.bench.rest()
    if where == "claim":
        # It came when the lease was held again, but it was sent before: that is asked.
        assert (peer.seqs, asked(leased, "owned")) == ([1], 1)
    else:
        assert (peer.seqs, peer.closed[0]) == ([], CLOSE_MOVED)
        assert b.owned_count == 1


async def test_what_is_loaded_while_the_store_is_asked_is_not_judged_by_that_answer(owners, leased):
    a, _ = owners
    await a.hold()
    _, first = await a.subscribe("first")
    await a.lose()
    leased.held.add("owned")
    await a.hold()
    await a.bench.until(lambda: leased.waiting == ["owned"])
    leased.held.clear()
    _, second = await a.subscribe("second")
    await a.bench.publish("t")
    assert (first.seqs, second.seqs) == ([], [1])
    leased.release()
    await a.bench.until(lambda: first.seqs == [1])
    assert (first.closed, second.closed, a.owned_count) == (None, None, 2)


async def test_what_begins_to_run_while_the_store_is_asked_is_asked_for_anew(owners, leased):
    a, _ = owners
    await a.hold()
    _, first = await a.subscribe("first")
    await a.lose()
    # Claimed without a lease, and after the store has answered what there is.
    leased.held.add("claim")
    attached, second = a.bench.connect()
    loading = begun(attached.subscribe(Subscribe("t", subscription="second")))
    await a.bench.until(lambda: leased.waiting == ["claim"])
    leased.held.add("owned")
    await a.hold()
    await a.bench.until(lambda: leased.waiting == ["claim", "owned"])
    leased.release("claim")
    await loading
    await a.bench.publish("t")
    assert second.seqs == []
    leased.release("owned")
    await a.bench.until(lambda: (first.seqs, second.seqs) == ([1], [1]))
    assert (first.closed, second.closed, asked(leased, "owned")) == (None, None, 2)


async def test_what_was_moved_while_there_was_no_lease_is_not_handed_out(owners, leased):
    a, b = owners
    await a.hold()
    attached, peer = await a.subscribe()
    await a.bench.publish_many("t", 2)
    ack(attached, 2)
    await a.bench.flush()
    await a.lose()
    await a.bench.publish("t")
    await b.hear()
    await b.bench.broker.subscriptions.seek(T, "s", "earliest", dry_run=False)
    await a.hold()
    assert (peer.seqs, peer.closed) == ([1, 2], (CLOSE_MOVED, "subscription moved"))
    assert a.owned_count == 0


@pytest.mark.parametrize("how", ["unloaded", "deleted"])
async def test_what_ends_while_the_store_is_asked_is_not_judged(owners, leased, how):
    a, _ = owners
    await a.hold()
    attached, peer = await a.subscribe()
    await a.lose()
    leased.held.add("owned")
    await a.hold()
    await a.bench.until(lambda: leased.waiting == ["owned"])
    if how == "unloaded":
        attached.close()
        await a.bench.flush()
    else:
        await a.bench.broker.subscriptions.delete(T, "s")
    assert a.running() is None
    leased.release()
    await a.bench.rest()
    assert (peer.closed, a.owned_count) == (None, 0)


async def test_as_long_as_the_store_does_not_answer_nothing_is_handed_out(
    owners, leased, monkeypatch, caplog
):
    monkeypatch.setattr(ownership, "RETRY_S", 0.001)
    a, _ = owners
    await a.hold()
    _, peer = await a.subscribe()
    await a.lose()
    await a.bench.publish("t")
    leased.failing.add("ask")
    await a.hold()
    await comes(lambda: a.bench.broker.ownership._has_failed)
    assert (peer.seqs, peer.closed) == ([], None)
    leased.failing.clear()
    await comes(lambda: peer.seqs == [1])
    assert sum("which durable subscriptions" in line for line in caplog.messages) == 1


async def test_a_bug_there_is_logged_and_the_store_is_asked_again(
    owners, leased, monkeypatch, caplog
):
    monkeypatch.setattr(ownership, "RETRY_S", 0.001)
    a, _ = owners
    await a.hold()
    _, peer = await a.subscribe()
    a.lapse()
    await a.bench.publish("t")
    with monkeypatch.context() as patched:
        patched.setattr(type(a.running()), "resume", _broken)
        await a.regain()
        await comes(lambda: a.bench.broker.ownership._has_failed)
    assert any("_broken" in str(record.exc_info) or record.exc_info for record in caplog.records)
    # It is tried again, until it goes on.
    await comes(lambda: not a.bench.broker.ownership._has_failed)
    await comes(lambda: peer.of("message"))


async def test_a_bug_in_one_subscription_does_not_silence_the_others(owners, monkeypatch):
    a, _ = owners
    await a.hold()
    peers = {name: (await a.subscribe(name))[1] for name in ("p", "q", "r")}
    a.lapse()
    await a.bench.publish("t")
    broken = a.running("p")
    resume = type(broken).resume

    def fails_in_one(running) -> None:
        if running is broken:
            raise ValueError("a bug")
        resume(running)

    with monkeypatch.context() as patched:
        patched.setattr(type(broken), "resume", fails_in_one)
        await a.regain()
        await comes(lambda: a.bench.broker.ownership._has_failed)
    assert [peers[name].seqs for name in ("q", "r")] == [[1], [1]]
    # And of what could not be judged at all the store is asked again.
    await comes(lambda: not a.bench.broker.ownership._has_failed)


def _broken(_) -> None:
    raise ValueError("a bug")
