"""What PostgreSQL's errors become, where a running server cannot be made to raise them."""

import ssl

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


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (untrusted(), "not trusted: self-signed certificate; sslrootcert"),
        (ssl.SSLError(1, "[SSL] tlsv1 alert unknown ca"), "TLS with PostgreSQL failed"),
        (ConnectionError('PostgreSQL server at "h:1" rejected SSL upgrade'), "has no TLS"),
        (FileNotFoundError(2, "No such file or directory"), "a file that DATABASE_URL names"),
        (
            asyncpg.exceptions.ClientConfigurationError("root certificate file does not exist"),
            "add sslrootcert",
        ),
        (ValueError("could not parse 'secret'"), "has a part that makes no sense"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_keeps_a_connection_from_being_made_is_told(error, said):
    told = translated(error)
    assert isinstance(told, StoreUnavailable)
    assert said in str(told)
