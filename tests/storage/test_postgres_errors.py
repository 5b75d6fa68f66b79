"""What PostgreSQL's errors become, where a running server cannot be made to raise them."""

import asyncpg
import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.postgres.errors import is_lost, translated


@pytest.mark.parametrize(
    "error",
    [
        # A call on a connection of which the server has just said that it ends it.
        asyncpg.InternalClientError("cannot switch to state 12; another operation is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.AdminShutdownError("terminating connection"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_ends_is_an_unavailable_store_whatever_the_driver_calls_it(error):
    assert is_lost(error)
    assert isinstance(translated(error), StoreUnavailable)
