"""The end of a broker in two parts: what it does for others, and its store."""

from conduit.protocol.frames import Ack
from tests.broker.kit import Bench


async def test_when_it_has_finished_all_progress_is_stored_and_the_store_is_open(bench: Bench):
    await bench.broker.topics.create("default", "t")
    connection, peer = await bench.subscribe("t", subscription="s")
    await bench.publish_many("t", 3)
    connection.verbs.ack(Ack(topic="t", seq=2))
    connection.close()
    await bench.broker.finish()
    assert peer.seqs == [1, 2, 3]
    (record,) = await bench.broker.store.subscriptions()
    (topic,) = await bench.broker.store.topics()
    (row,) = await bench.broker.store.progress_at([(record.subscription_id, topic.topic_id)])
    assert row.floor == 2
    # Nothing is done a second time.
    await bench.broker.finish()
    await bench.broker.stop()
    await bench.broker.stop()
