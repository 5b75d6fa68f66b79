"""A store that is a restored copy: whoever comes back is told."""

import pytest

from conduit.broker.administer import renewal
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, StartAt
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, Peer, running_broker

T = DEFAULT_TENANT


class CopiedStore(MemoryStore):
    """Taken for a copy while `why` is set."""

    why: str | None = None

    @property
    def copied(self) -> str | None:
        return self.why

    async def renew(self, epochs) -> None:
        await super().renew(epochs)
        self.why = None


@pytest.fixture
def store():
    return CopiedStore()


def acked(connection, peer: Peer, seq: int) -> None:
    (message,) = [each for each in peer.of("message") if each["seq"] == seq]
    connection.verbs.ack(Ack(message["message_id"]))


def gaps(peer: Peer) -> list[tuple[str, int, int | None, str]]:
    return [(gap["topic"], gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]


def epoch(bench: Bench, name: str) -> str:
    return bench.broker.topics.get(T, name).epoch


async def test_a_copy_has_new_epochs_and_everybody_who_comes_back_is_told(store, caplog):
    async with running_broker(store) as bench:
        for name in ("t", "other"):
            await bench.broker.topics.create(T, name)
        connection, peer = await bench.subscribe(">", subscription="s")
        await bench.publish_many("t", 3)
        acked(connection, peer, 1)
        await bench.flush()
        before = epoch(bench, "t")
        connection.close()
        await bench.flush()
    store.why = "its mark file is missing"
    async with running_broker(store) as bench:
        (line,) = [record.message for record in caplog.records if "restored copy" in record.message]
        assert "its mark file is missing" in line
        assert "new epochs: 2; told by a gap (epoch_changed): 1 durable subscriptions" in line
        after = epoch(bench, "t")
        assert after != before
        assert store.why is None
        # A durable subscription: a gap in each topic, and what it had not settled.
        connection, peer = await bench.subscribe(">", subscription="s")
        assert sorted(gaps(peer)) == [
            ("other", 1, None, "epoch_changed"),
            ("t", 2, None, "epoch_changed"),
        ]
        assert {gap["epoch"] for gap in peer.of("gap")} == {after, epoch(bench, "other")}
        assert peer.seqs == [2, 3]
        assert {message["epoch"] for message in peer.of("message")} == {after}
        # One without a name that has a position.
        _, other = await bench.subscribe("t", start=StartAt(seq=3, epoch=before))
        assert other.of("subscribed")[0]["recovered"] is False
        assert gaps(other) == [("t", 3, None, "epoch_changed")]
        acked(connection, peer, 2)
        acked(connection, peer, 3)
        await bench.flush()
        connection.close()
        await bench.flush()
        # Told once.
        _, peer = await bench.subscribe(">", subscription="s")
        assert (gaps(peer), peer.seqs) == ([], [])


async def test_a_store_that_is_no_copy_keeps_its_epochs(store, caplog):
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        before = epoch(bench, "t")
    async with running_broker(store) as bench:
        assert epoch(bench, "t") == before
    assert caplog.records == []


async def test_a_renewal_that_was_interrupted_is_done_again(store):
    async with running_broker(store) as bench:
        await bench.broker.topics.create(T, "t")
        connection, _ = await bench.subscribe("t", subscription="s")
        connection.close()
        await bench.flush()
    for _ in range(2):
        assert await renewal.renew(store, 0) == renewal.Renewed(1, 1)
    async with running_broker(store) as bench:
        _, peer = await bench.subscribe("t", subscription="s")
        assert gaps(peer) == [("t", 1, None, "epoch_changed")]


async def test_a_subscription_is_told_of_as_many_topics_as_it_can_be_and_the_log_says_so(
    store, caplog, monkeypatch
):
    monkeypatch.setattr(renewal, "FORMER_MAX_COUNT", 2)
    async with running_broker(store) as bench:
        for name in ("a", "b", "c"):
            await bench.broker.topics.create(T, name)
        connection, _ = await bench.subscribe(">", subscription="s")
        connection.close()
        await bench.flush()
    assert await renewal.renew(store, 0) == renewal.Renewed(3, 1)
    assert [record.message for record in caplog.records] == [
        "subscription 's' is told of 2 topics only"
    ]
