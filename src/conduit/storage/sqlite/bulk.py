"""Many rows in one statement, in both directions.

SQLite runs with Python's lock (the GIL) released, and a thread that wants the lock back beside a busy
event loop waits up to 5 ms for it, once for every step of a statement. Row by row, 100 inserts took
67 to 330 ms beside such a loop and a read of 256 rows 230 ms; as one step they take 6 to 8 ms. So a
batch is one INSERT that commits by itself, and a list of rows comes back as one JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from types import GenericAlias
from typing import Any, Generic, TypeVar

import apsw
from msgspec.json import Decoder

T = TypeVar("T")

Value = int | str | bytes | None
Statement = tuple[str, list[Value] | dict[str, Value]]

# Rows of one statement. 512 rows of 10 values stay below SQLite's 32,766 parameters, and their text
# below the 16 KiB up to which apsw caches a statement.
ROWS_MAX_COUNT = 512


class Insert:
    """An INSERT of up to 512 rows at once.

    `into` names a table or view, `then` is what follows the rows. Statements exist for 1, 2, 4 … 512
    rows, so that each is prepared once; the rows that fill one up are NULLs and select nothing.
    """

    def __init__(self, into: str, width: int, then: str = "") -> None:
        row = f"({','.join('?' * width)})"
        self._width = width
        self._sql = {
            count: f"INSERT INTO {into} SELECT * FROM (VALUES {','.join([row] * count)})"
            f" WHERE column1 IS NOT NULL {then}"
            for count in (1 << power for power in range(ROWS_MAX_COUNT.bit_length()))
        }

    def statements(self, rows: Sequence[Sequence[Value]]) -> Iterator[Statement]:
        """The statements that insert the rows, in order."""
        for start in range(0, len(rows), ROWS_MAX_COUNT):
            some = rows[start : start + ROWS_MAX_COUNT]
            count = 1 << (len(some) - 1).bit_length()
            filling: list[Value] = [None] * (self._width * (count - len(some)))
            yield self._sql[count], [*chain.from_iterable(some), *filling]


def execute_all(connection: apsw.Connection, statements: Sequence[Statement]) -> None:
    """Run the statements in one commit: a single one commits by itself."""
    if len(statements) == 1:
        connection.execute(*statements[0])
        return
    if statements:
        with transaction(connection):
            for sql, values in statements:
                connection.execute(sql, values)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One commit around several statements; nothing of it happens if any of them fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: apsw.Connection) -> None:
    # After a full disk or an I/O error SQLite may have rolled back already.
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except apsw.Error:
        # What follows in an open transaction would be acked and never committed.
        connection.close(force=True)


def rows(
    connection: apsw.Connection, sql: str, values: Mapping[str, Value] | Sequence[Value] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a statement. It runs to its end: only then is a RETURNING committed."""
    return connection.execute(sql, values).fetchall()


class Query(Generic[T]):
    """A SELECT of one value, a JSON array of rows, which is decoded to a list of `row`.

    Of very many rows it is better to make several arrays, with GROUP BY: nothing else runs while one is
    decoded.
    """

    def __init__(self, sql: str, row: type[T]) -> None:
        self._sql = sql
        self._decode: Callable[[str], list[T]] = Decoder(GenericAlias(list, row)).decode

    def __call__(
        self, connection: apsw.Connection, values: Mapping[str, Value] | Sequence[Value] = ()
    ) -> list[T]:
        decode, found = self._decode, rows(connection, self._sql, values)
        if len(found) == 1:
            return decode(found[0][0])
        return [row for (text,) in found for row in decode(text)]
