"""A backup has its name when it is whole, and nothing stays of one that is not."""

import contextlib
import signal
import threading
from pathlib import Path

import apsw
import pytest

from conduit.errors import Conflict, StoreUnavailable
from conduit.storage.sqlite import SqliteStore
from conduit.storage.sqlite.backup import back_up
from conduit.storage.sqlite.check import check
from conduit.storage.sqlite.space import compact
from tests.storage import given

COUNT = 300
SIZE = 50_000


@pytest.fixture
async def path(tmp_path) -> Path:
    """A database whose backup takes a while."""
    path = tmp_path / "data" / "log.db"
    path.parent.mkdir()
    store = SqliteStore(path)
    await store.open()
    topic = await given.topic(store)
    await store.append(
        [given.message(topic.topic_id, b'"%b"' % (b"x" * SIZE)) for _ in range(COUNT)]
    )
    await store.close()
    return path


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file()}


def test_of_two_backups_to_one_name_one_is_there_and_whole(path, tmp_path):
    to, begin = tmp_path / "backup.db", threading.Barrier(2)
    ended: list[Exception | None] = []

    def work() -> None:
        begin.wait()
        try:
            back_up(path, to)
        except (OSError, Conflict, StoreUnavailable) as error:
            ended.append(error)
        else:
            ended.append(None)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended.count(None) == 1
    (refused,) = [error for error in ended if error is not None]
    assert isinstance(refused, Conflict)
    assert f"{to} exists already" in str(refused)
    assert check(to) == []
    assert names(tmp_path) == {"backup.db"}


def test_nothing_stays_of_a_backup_that_a_signal_ends(path, tmp_path, monkeypatch):
    def signal_soon(connection: apsw.Connection) -> None:
        connection.exec_trace = at_vacuum

    def at_vacuum(_cursor: object, sql: str, _bindings: object) -> bool:
        if sql.startswith("VACUUM"):
            signal.setitimer(signal.ITIMER_REAL, 0.002)
        return True

    monkeypatch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, signal_soon])
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            back_up(path, tmp_path / "backup.db")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("work", [compact, check])
def test_what_is_no_database_of_conduit_is_refused_and_stays_as_it_is(work, tmp_path):
    empty, stranger, rubbish = (tmp_path / name for name in ("empty", "stranger", "rubbish"))
    empty.touch()
    connection = apsw.Connection(str(stranger))
    connection.execute("CREATE TABLE t (x); PRAGMA application_id = 5")
    connection.close()
    rubbish.write_bytes(b"rubbish" * 1_000)
    before = {file: file.read_bytes() for file in (empty, stranger, rubbish)}
    for file, content in before.items():
        with pytest.raises(StoreUnavailable, match="not a"):
            work(file)
        assert file.read_bytes() == content
    assert names(tmp_path) == {"empty", "stranger", "rubbish"}


@pytest.mark.parametrize(
    ("column", "damaged"),
    [
        ("payload", b'"\xff\xff"'),
        ("payload", b'{"a":'),
        ("headers", b'{"a" "b"}'),
        ("key", b"\xff"),
    ],
)
async def test_a_message_that_no_client_could_read_is_no_whole_backup(tmp_path, column, damaged):
    path = tmp_path / "log.db"
    store = SqliteStore(path)
    await store.open()
    topic = await given.topic(store)
    await store.append(
        [given.message(topic.topic_id, b"1234", headers=b'{"a":"b"}') for _ in range(3)]
    )
    await store.close()
    assert check(path) == []
    as_is = "CAST(? AS TEXT)" if column == "key" else "?"
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"UPDATE messages SET {column} = {as_is} WHERE seq = 2", [damaged])
    (fault,) = check(path)
    assert fault.startswith("message 2 of topic orders is damaged: ")


async def test_a_text_that_is_no_text_is_told(tmp_path):
    path = tmp_path / "log.db"
    store = SqliteStore(path)
    await store.open()
    await given.topic(store)
    await store.close()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE topics SET name = CAST(x'ff' AS TEXT), last_seq = 7")
    (fault,) = check(path)
    assert "not UTF-8" in fault


async def test_a_dead_letter_whose_message_is_gone_is_whole_and_one_that_cannot_be_read_is_not(
    tmp_path,
):
    path = tmp_path / "log.db"
    store = SqliteStore(path)
    await store.open()
    topic = await given.topic(store)
    await store.close()
    put = """
    INSERT INTO dead_letters (dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts,
                              reason, died_at_ms, published_at_ms, payload)
    VALUES (?, 'default', 's', 'orders', ?, ?, 'm', 1, 'r', 1, 1, ?)
    """
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        for seq, payload in enumerate((b"", b"{}", b'{"a'), start=1):
            connection.execute(put, [str(seq), topic.topic_id, seq, payload])
    damaged = [fault for fault in check(path) if "damaged" in fault]
    assert damaged == ["dead letter 3 of topic orders is damaged: Input data was truncated"]
