"""Exit codes: what each means, and which error leads to which."""

from __future__ import annotations

from enum import IntEnum

from conduit.errors import ConduitError, ConfigError


class Exit(IntEnum):
    """Part of the interface; `docs/cli.md` has the same table and a test compares them."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    LIMIT = 6
    NO_CONNECTION = 7
    INCOMPLETE = 8
    CHECK_FAILED = 9
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "done",
    Exit.ERROR: "an error that has no code of its own here, or the answer to a question was no",
    Exit.USAGE: "wrong options, arguments, input or settings; or `--yes` is missing",
    Exit.NOT_FOUND: "the topic, subscription, message, dead letter, job, key, tenant, node or context is not"
    " there",
    Exit.AUTH: "the server does not know the key or token, or it does not give that right",
    Exit.CONFLICT: "it exists already, or its state forbids the request",
    Exit.LIMIT: "a limit is reached, or the server is overloaded or cannot use its store",
    Exit.NO_CONNECTION: "the server cannot be reached",
    Exit.INCOMPLETE: "time is up before `--count` was reached",
    Exit.CHECK_FAILED: "the server is not ready (`health`), a check has failed (`doctor`), a database is"
    " damaged (`store check`), or a run of `bench` is invalid, failed or unverified, or missed its `--slo`",
    Exit.INTERRUPTED: "interrupted (Ctrl-C, SIGTERM)",
}

_BY_STATUS = {
    400: Exit.USAGE,
    401: Exit.AUTH,
    403: Exit.AUTH,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    413: Exit.LIMIT,
    429: Exit.LIMIT,
    431: Exit.LIMIT,
    503: Exit.LIMIT,
}

# Where the status says less: it is that of a right as well, or there is none, since no server was asked.
_BY_CODE = {
    "limit_reached": Exit.LIMIT,
    "no_token": Exit.AUTH,
    "context_exists": Exit.CONFLICT,
    "context_not_found": Exit.NOT_FOUND,
}

_NO_CONNECTION = ("connection_failed", "tls_failed", "certificate_verify_failed")

_HINTS = {
    "connection_failed": "is it running? start one with `conduit serve`, or name another with --url",
    "tls_failed": "is its address http:// and not https://?",
    "certificate_verify_failed": "SSL_CERT_FILE=FILE names the authority, if it is one of your own",
    "topic_not_found": "`conduit topic ls` shows which exist; `topic create` or `pub --create` makes one",
    "subscription_conflict": "`conduit subscription get NAME` shows the settings it was created with",
    "subscription_not_found": "`conduit subscription ls` shows which exist",
    "letter_topic_gone": "`conduit dlq get ID` shows its payload, `conduit pub TOPIC PAYLOAD` publishes it",
    "already_redriven": "`conduit dlq ls --open` shows those that were not",
    "payload_lost": "`conduit dlq discard ID` removes the letter when it is dealt with",
    "job_not_found": "`conduit dlq ls` shows what is REDRIVEN; `conduit dlq redrive` goes on with the rest",
    "dead_letter_not_found": "`conduit dlq ls` shows which exist",
    "unauthenticated": "CONDUIT_API_KEY, `--api-key -` or a context (`conduit context add`) gives a key",
    "forbidden": "`conduit whoami` shows what the key may do",
    "key_not_found": "`conduit key ls` shows which exist",
    "node_not_found": "`conduit node ls` shows which there are",
    "node_unreachable": "`conduit node ls` shows how it stands; `node get`, of the one with the star, why",
    "tenant_not_found": "`conduit tenant ls` shows which exist",
    "tenant_not_empty": "`conduit topic ls --tenant NAME`, and `subscription ls`, show what it has",
    "context_not_found": "`conduit context ls` shows which exist; `context add` makes one",
    "context_exists": "--replace puts the new one in its place",
    "contexts_not_private": "chmod 600 it; if others may have read it, rotate the keys in it",
    "contexts_damaged": "mend it, or move it away and add the contexts again",
    "invalid_proxy": "unset it; or put the server's host into no_proxy",
    "not_json": "one value on each line (`jq -c`), or one on several; --text sends each line as a string",
}


def exit_for(error: ConduitError) -> Exit:
    """The exit code of an error."""
    # Not on top: it would load msgspec for `conduit --help`.
    from conduit.protocol.codes import CODES

    if error.code in _NO_CONNECTION:
        return Exit.NO_CONNECTION
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    status = getattr(error, "status", None)
    if status is None:
        known = CODES.get(error.code)
        status = 400 if known is None else known.status
    return _BY_STATUS.get(status, Exit.ERROR)


def describe(error: ConduitError) -> list[str]:
    """The lines that tell people of an error: what, with its code, and what to do next."""
    if isinstance(error, ConfigError):
        return [f"error: {problem}" for problem in error.problems]
    limit = f", limit {error.limit}" if error.limit is not None else ""
    lines = [f"error: {error.detail} (code {error.code}{limit})"]
    if error.code in _HINTS:
        lines.append(f"  {_HINTS[error.code]}")
    return lines


def unexpected(error: Exception) -> list[str]:
    """The lines that tell people of a fault of Conduit itself."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return [
        f"error: {what} (code internal)",
        "  this is a fault of Conduit; PYTHONDEVMODE=1 before the command shows where, for a report",
    ]
