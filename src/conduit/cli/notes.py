"""What the client logs, lost connections above all, becomes notes on stderr."""

from __future__ import annotations

import logging

from conduit.cli.output import note


class Notes(logging.Handler):
    """A log record as a line for people."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        note(record.getMessage())


def show_client_log() -> None:
    """From now on warnings of the client are shown. Idempotent."""
    log = logging.getLogger("conduit.client")
    if not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
        # Its reports of a broken connection are tracebacks; the client says the same in a line.
        logging.getLogger("websockets").addHandler(logging.NullHandler())
