"""What SQLite does for a call, counted in rows and in its own steps: a busy machine changes neither."""

import apsw

from conduit.core.message import Progress
from conduit.storage.base import Settled, Start
from conduit.storage.dead_letters import DeadBounds
from conduit.storage.sqlite import SqliteStore
from tests.storage import given
from tests.storage.given import TENANT


class Steps:
    """Counts the steps of SQLite in hundreds, on connections that are opened meanwhile, or given."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self):
        apsw.connection_hooks.append(self.watch)
        return self

    def __exit__(self, *_):
        apsw.connection_hooks.remove(self.watch)

    def watch(self, connection: apsw.Connection) -> None:
        connection.set_progress_handler(self._step, 100)

    def _step(self) -> bool:
        self.count += 1
        return False


async def test_a_large_log_opens_without_a_scan(tmp_path):
    """Opening runs no statement whose cost grows with the log."""
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    record = await given.topic(store)
    for _ in range(20):
        await given.messages(store, record.topic_id, 1000)
    await store.close()
    with Steps() as steps:
        await store.open()
        await store.topics()
        await store.subscriptions()
    await store.close()
    assert steps.count < 100


async def test_on_many_topics_the_writer_stores_two_rows_and_a_reader_looks_at_each_once(tmp_path):
    """Whoever publishes waits for the writer: it must not take longer for a pattern with more topics."""
    store = SqliteStore(tmp_path / "log.db")
    writing = Steps()
    with Steps() as reading:
        await store.open()
    await store._db.writer.call(writing.watch)

    async def changed(call) -> int:
        def changes(connection: apsw.Connection) -> int:
            return connection.total_changes()

        before = await store._db.writer.call(changes)
        await call
        return await store._db.writer.call(changes) - before

    topic_ids = [(await given.topic(store, f"t{n}")).topic_id for n in range(1_000)]
    await store.append([given.message(id_) for id_ in topic_ids])
    writing.count = 0
    # The subscription, and one part for 1,024 ids of topics.
    assert await changed(given.subscription(store, pattern=">")) == 2
    [created] = await store.subscriptions()
    positions = await store.positions(TENANT, ">", Start(earliest=True))
    # The part before, and the one that takes its place.
    assert await changed(store.seek(created.subscription_id, positions)) == 2
    assert writing.count * 100 < 1_000
    reading.count = 0
    assert len(await store.progress(created.subscription_id)) == 1_000
    assert reading.count < 1_000
    await store.close()


async def test_what_the_end_of_a_topic_reads_does_not_follow_from_what_its_followers_have_elsewhere(
    tmp_path,
):
    """Whoever publishes waits for the writer."""
    store = SqliteStore(tmp_path / "log.db")
    await store.open()

    def pages(connection: apsw.Connection) -> int:
        kinds = (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)
        return sum(connection.status(kind)[0] for kind in kinds)

    names = [f"t{n}" for n in range(20_000)]
    topics = await store.topics_create(TENANT, names, given.KEEP_ALL, given.NOW_MS)
    await store.append([given.message(topic.topic_id) for topic in topics])
    followers = [(await given.subscription(store, f"s{n}", ">")).subscription_id for n in range(10)]
    before = await store._db.writer.call(pages)
    await store.topic_delete(topics[-1].topic_id, followers, given.NOW_MS)
    # Each of them has 80 pages of floors.
    assert await store._db.writer.call(pages) - before < 100
    assert [gone.floor for gone in await store.former(followers[0])] == [1]
    await store.close()


async def test_what_a_deleted_subscription_leaves_is_not_seen_and_goes_in_slices(tmp_path):
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    topics = await store.topics_create(
        TENANT, [f"t{n}" for n in range(2_000)], given.KEEP_ALL, given.NOW_MS
    )
    await store.append([given.message(topic.topic_id) for topic in topics])
    gone = (await given.subscription(store, "gone", ">")).subscription_id
    kept = (await given.subscription(store, "kept", ">")).subscription_id
    for id_ in (gone, kept):
        rows = [Progress(id_, topic.topic_id, 1, 1, b"o") for topic in topics[:1_000]]
        await store.settle(rows, [])
    await store.topic_delete(topics[-1].topic_id, [gone, kept], given.NOW_MS)
    await store.purge(100)

    def changes(connection: apsw.Connection) -> int:
        return connection.total_changes()

    before = await store._db.writer.call(changes)
    await store.subscription_delete(gone)
    # Its row, and a note.
    assert await store._db.writer.call(changes) - before <= 2
    assert await store.progress(gone) == []
    assert await store.progress_at([(gone, topics[0].topic_id)]) == []
    assert await store.settled([gone]) == {gone: Settled(0, [])}
    assert await store.former(gone) == []
    # 1,000 rows of progress, two parts of where it began, a former topic.
    assert [await store.purge(400) for _ in range(4)] == [400, 400, 203, 0]
    assert len(await store.progress(kept)) == 1_999
    assert len(await store.former(kept)) == 1
    await store.close()


async def test_what_many_deleted_topics_have_left_is_removed_in_few_commits(tmp_path):
    """Each is a sync of the disk, and whoever publishes waits for it."""
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    records = [await given.topic(store, f"t{number}") for number in range(100)]
    await store.append([given.message(record.topic_id) for record in records])
    subscriptions = [await given.subscription(store, f"s{number}") for number in range(50)]
    for record in records:
        await store.topic_delete(record.topic_id)
    for subscription in subscriptions:
        await store.subscription_delete(subscription.subscription_id)
    commits = []

    def committed() -> bool:
        commits.append(1)
        return False

    await store._db.writer.call(lambda connection: connection.set_commit_hook(committed))
    assert await store.purge(1_000) == 100
    assert len(commits) <= 6
    assert await store.purge(1_000) == 0
    await store._db.writer.call(lambda connection: connection.set_commit_hook(None))
    await store.close()


async def test_bounds_of_tenants_are_looked_at_once_each_when_dead_letters_are_trimmed(tmp_path):
    """The writer does that again and again: twice the tenants are twice the steps, and not four times."""
    store = SqliteStore(tmp_path / "log.db")
    writing = Steps()
    await store.open()
    await store._db.writer.call(writing.watch)

    def filled(connection: apsw.Connection, first: int, end: int) -> None:
        with connection:
            connection.executemany(
                "INSERT INTO dead_tallies (tenant, subscription, topic, open_count, redriven_count, bytes)"
                " VALUES (?, 's', '', 1, 0, 1)",
                [(f"t{n}",) for n in range(first, end)],
            )

    counts: list[int] = []
    for first, end in ((0, 500), (500, 1_000)):
        await store._db.writer.call(filled, first, end)
        bounds = DeadBounds(tenants={f"t{n}": 9 for n in range(end)})
        writing.count = 0
        assert await store.dead_trim(0, bounds, 100) == 0
        counts.append(writing.count)
    await store.close()
    assert counts[1] < 3 * counts[0]
