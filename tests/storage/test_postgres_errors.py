"""What PostgreSQL's errors become, where a running server cannot be made to raise them."""

import errno
import socket
import ssl

import asyncpg
import pytest

from conduit.errors import StoreUnavailable
from conduit.storage.postgres.errors import is_lost, translated, why_lost


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncpg.UndefinedTableError('relation "conduit.topics" does not exist'), "is not there"),
        (asyncpg.InvalidColumnReferenceError("no unique constraint"), "lacks a constraint"),
    ],
)
def test_tables_that_are_being_restored_are_an_unavailable_store_and_no_fault_of_the_server(
    error, said
):
    told = translated(error, changes=True)
    assert isinstance(told, StoreUnavailable)
    assert said in str(told)


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConnectionRefusedError(111, "Connect call failed ('10.0.0.7', 5432)"),
            "nobody listens there",
        ),
        (ConnectionResetError(), "the other side reset it"),
        (TimeoutError(), "no answer in time"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "the name of its host cannot be resolved",
        ),
        (OSError(errno.EHOSTUNREACH, "10.0.0.7"), "No route to host"),
        (OSError("Multiple exceptions: [Errno 111] …, [Errno 111] …"), "no address of its host"),
        (asyncpg.AdminShutdownError("terminating"), "PostgreSQL ended it, SQLSTATE 57P01"),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), "it was closed"),
        (asyncpg.InterfaceError("connection is closed"), "it was closed"),
        (ConnectionError("unexpected connection_lost() call"), "it was closed"),
        (EOFError(), "it was closed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_why_a_connection_is_lost_is_told_in_words_and_without_addresses(error, said):
    assert why_lost(error).startswith(said)
    for told in (translated(error), translated(error, changes=True)):
        assert said in str(told) or "SQLSTATE" in str(told)
        assert type(error).__name__ not in str(told)
        assert "10.0.0.7" not in str(told)
