"""The client's log, `conduit.client`, which whoever uses it sends where they like: no secret is in it.

Nor in that of websockets, which at the level of debugging has every header and every frame.
"""

from __future__ import annotations

import logging

from conduit.redaction import redacted

# What websockets tells of the client's own connections. A filter counts for its logger alone.
WEBSOCKETS = "websockets.client.conduit"


class _WithoutSecrets(logging.Filter):
    """Takes them out of a record before any handler has it. A record that has none stays as it is, so that
    it is still known by its sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (shown := redacted(text)) != text:
            record.msg, record.args = shown, None
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            if (shown := redacted(trace)) != trace:
                # Formatters take it instead of the exception, which must not be rendered again.
                record.exc_text, record.exc_info = shown, None
        return True


_filter = _WithoutSecrets()
# A key may be any text: it is known by where it stands.
_SECRET_HEADERS = ("authorization", "proxy-authorization")


def _discreet(record: logging.LogRecord) -> bool:
    """Takes out what the client signs in with: the header, and the frame, which websockets shows in part."""
    match record.args:
        case (str(name), _) if name.lower() in _SECRET_HEADERS:
            record.args = (name, "…")
        case (frame,) if '"auth"' in (text := str(frame)) and '"token"' in text:
            record.args = ("an auth frame",)
        case _:
            pass
    return True


def keep_secrets_out() -> None:
    """From now on. Idempotent."""
    logging.getLogger(WEBSOCKETS).addFilter(_discreet)
    for name in ("conduit.client", "websockets.client", WEBSOCKETS):
        logging.getLogger(name).addFilter(_filter)
