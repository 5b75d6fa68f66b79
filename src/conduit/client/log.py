"""The client's log, `conduit.client`, which whoever uses it sends where they like: no secret is in it.

Nor in that of websockets, which at the level of debugging has every header and every frame.
"""

from __future__ import annotations

import logging

from conduit.redaction import redacted


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


def keep_secrets_out() -> None:
    """From now on. Idempotent."""
    for name in ("conduit.client", "websockets.client"):
        logging.getLogger(name).addFilter(_filter)
