"""PostgreSQL's errors, told once in Conduit's words."""

from __future__ import annotations

import os
import socket
import ssl

import asyncpg

from conduit.errors import (
    ConduitError,
    OutcomeUnknown,
    StateError,
    StoreDataError,
    StoreUnavailable,
)

# SQLSTATE classes and codes (PostgreSQL's documentation, appendix A), with what an operator should know
# and do. The longest prefix counts.
_UNAVAILABLE = {
    "08": "the connection to PostgreSQL failed",
    "25006": "PostgreSQL is read-only: a standby, or a full disk",
    "28": "PostgreSQL refused the user or the password",
    "3D": "the database does not exist",
    "40": "PostgreSQL gave up on conflicting transactions",
    # Of statements that have worked, and stand in no migration.
    "42P01": "a table of Conduit is not there: the schema is being restored, or was removed",
    "42P10": "a table of Conduit lacks a constraint: the schema is being restored, or was changed",
    "42501": "the user may not do this: grant it the schema conduit",
    "53": "PostgreSQL lacks a resource: disk, memory or connections",
    "53100": "the disk of PostgreSQL is full; free some space",
    "53300": "PostgreSQL has no connection left; raise max_connections or lower the pools",
    "55P03": "a lock in PostgreSQL was not free in time",
    "57": "PostgreSQL is shutting down or starting",
    "58": "PostgreSQL met an error of the system; see its log",
    "XX": "PostgreSQL met an internal error; see its log",
}
_UNACCEPTABLE = ("22", "23", "54")


def why_lost(error: BaseException) -> str:
    """Why there is no connection any more, in words. Addresses and values, which the errors' own text may
    have, are not among them."""
    match error:
        case asyncpg.PostgresError() if not str(error.sqlstate).startswith("08"):
            return f"PostgreSQL ended it, SQLSTATE {error.sqlstate}"
        case ConnectionRefusedError():
            return "nobody listens there"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "the other side reset it"
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "the name of its host cannot be resolved"
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case OSError() if "Multiple exceptions" in str(error):
            # Of a name with several addresses.
            return "no address of its host takes connections"
    return "it was closed"


# What says that a connection has ended, but for errors of the server. InternalClientError: the server has
# ended the session, and asyncpg has not understood it yet.
ENDED = (OSError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def is_lost(error: BaseException) -> bool:
    """Whether the connection ended under a statement, so that nobody knows what became of it."""
    if isinstance(error, asyncpg.PostgresError):
        # Class 57 ends the session from the server's side: shutdown, crash, an operator. So does any error
        # of these severities, such as a failed fsync of a commit that is in the WAL already.
        ends = getattr(error, "severity_en", None) in ("FATAL", "PANIC")
        return ends or str(error.sqlstate).startswith(("08", "57P0"))
    return isinstance(error, ENDED)


# Conflicts that another try at once resolves: serialization, deadlock, a lock that was not free.
_PASSING = ("40001", "40P01", "55P03")


def is_passing(error: BaseException) -> bool:
    """Whether nothing happened, and the same statement may go through the next time."""
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate) in _PASSING


def translated(error: Exception, *, changes: bool = False) -> Exception:
    """The error that a caller of the store gets for one that a call met.

    OutcomeUnknown, if the call `changes` something: the connection ended before the answer, so that the
    change may have been committed. An error that the server answered with has undone it.
    StoreUnavailable: the connection, the server, its disk or its locks. StoreDataError: a value that
    PostgreSQL does not take. StateError: a statement of ours that it refuses. Errors that are not about
    PostgreSQL stay as they are. None of them repeats values: a detail of PostgreSQL's may have some.
    """
    if isinstance(error, ConduitError):
        return error
    if changes and is_lost(error):
        lost = why_lost(error)
        return OutcomeUnknown(
            f"the connection to PostgreSQL ended before the answer ({lost}); it may be done"
        )
    # What cannot be encoded: asyncpg raises its own DataError, without a state of the server.
    if isinstance(error, UnicodeEncodeError) or (
        isinstance(error, asyncpg.DataError) and not error.sqlstate
    ):
        return StoreDataError("a value cannot be stored in PostgreSQL")
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        for length in (5, 2):
            if sentence := _UNAVAILABLE.get(state[:length]):
                return StoreUnavailable(f"{sentence} (SQLSTATE {state})")
        if state.startswith(_UNACCEPTABLE):
            return StoreDataError(f"a value cannot be stored in PostgreSQL (SQLSTATE {state})")
        return StateError(f"PostgreSQL refused a statement: {error} (SQLSTATE {state})")
    sentence = _of_connecting(error)
    return error if sentence is None else StoreUnavailable(sentence)


def _of_connecting(error: Exception) -> str | None:
    """Why there is no connection; None if that is not what it says."""
    # The order counts: an error of TLS is a ValueError too.
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate of PostgreSQL is not trusted: {error.verify_message}; sslrootcert in"
                " DATABASE_URL names the certificates that are"
            )
        case ssl.SSLError():
            return f"TLS with PostgreSQL failed: {error}"
        case FileNotFoundError():
            return "PostgreSQL's socket, or a file that DATABASE_URL names, does not exist"
        case ConnectionError() if "rejected SSL" in str(error):
            return "PostgreSQL has no TLS, and DATABASE_URL asks for it"
        case asyncpg.exceptions.ClientConfigurationError() if "root certificate" in str(error):
            return (
                "DATABASE_URL asks for a certificate that is verified, and does not say by what: add"
                " sslrootcert, the file with the certificates that are trusted"
            )
        case asyncpg.exceptions.ClientConfigurationError() | ValueError():
            # Its text may hold a part of the URL.
            return "DATABASE_URL cannot be used: it has a part that makes no sense"
    return f"the connection to PostgreSQL failed ({why_lost(error)})" if is_lost(error) else None
