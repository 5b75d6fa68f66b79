"""Log lines on standard error: text for people, JSON for machines. All loggers end up here."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

from conduit.server.log_writer import FLUSH_MAX_S, LogWriter


def configure_logging(
    level: str, form: Literal["auto", "text", "json"], *, may_color: bool = True
) -> None:
    """Send every log line of the process to standard error, once, from `level` on; text is coloured on a
    terminal only, and if it may be."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.dev.ConsoleRenderer(
            colors=may_color and sys.stderr.isatty(),
            # The one of rich, which it would take, shows what is in the variables: payloads, passwords.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Python has none if the process was started with it closed; another file may have its number then.
    handler = logging.NullHandler() if sys.stderr is None else LogWriter(sys.stderr.fileno())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # uvicorn tells of every start and stop in several lines; the server does so itself, in one.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # And httpx2 of every request that it makes.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def flush_logs(within_s: float = FLUSH_MAX_S) -> None:
    """Wait until all lines are written, or for so long: before the process is ended at once."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogWriter):
            handler.flush(within_s)


def dropped_line_count() -> int:
    """Log lines that could not be written."""
    handlers = logging.getLogger().handlers
    return sum(each.dropped_count for each in handlers if isinstance(each, LogWriter))
