"""Log lines on standard error: text for people, JSON for machines. All loggers end up here, and what Python
would print itself: exceptions that nobody caught. No secret does.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from conduit.redaction import redacted, redacted_value
from conduit.server.log_writer import FLUSH_MAX_S, LogWriter

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

logger = logging.getLogger(__name__)

# Of a line, which nothing that is logged can change.
_OWN_FIELDS = frozenset({"level", "logger", "timestamp", "worker"})


def configure_logging(
    level: str,
    form: Literal["auto", "text", "json"],
    *,
    may_color: bool = True,
    worker: int | None = None,
    writer: Callable[[int], logging.Handler] = LogWriter,
) -> None:
    """Send every log line of the process to standard error, once, from `level` on; text is coloured on a
    terminal only, and if it may be. `worker`: which of several processes this is, for each line; `writer`
    makes what writes to a descriptor."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.append(_of_worker(worker))
    render: Processor = structlog.processors.JSONRenderer()
    if not as_json:
        render = structlog.dev.ConsoleRenderer(
            colors=may_color and sys.stderr.isatty(),
            # The one of rich, which it would take, shows what is in the variables: payloads, passwords.
            exception_formatter=structlog.dev.plain_traceback,
        )
    # Python has none if the process was started with it closed; another file may have its number then.
    handler = logging.NullHandler() if sys.stderr is None else writer(sys.stderr.fileno())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_secrets,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # uvicorn tells of every start and stop in several lines; the server does so itself, in one.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # And httpx2 of every request that it makes.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def _of_worker(number: int) -> Processor:
    def add(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        return {**line, "worker": number}

    return add


def log_uncaught() -> None:
    """From now on exceptions that nobody catches, in threads and in finalizers, become log lines: Python
    would print them as they are."""
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        name = "" if args.thread is None else args.thread.name
        logger.error("the thread %s ended with an error", name, exc_info=args.exc_value)


def _log_unraisable(args: UnraisableHookArgs) -> None:
    logger.error("%s: %r", args.err_msg or "ignored", args.object, exc_info=args.exc_value)


def _without_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The last word on a line before it is rendered: traceback and fields are in it."""
    for name in line.keys() - _OWN_FIELDS:
        line[name] = redacted_value(line[name], name)
        if (shown := redacted(name)) != name:
            line[shown] = line.pop(name)
    return line


def flush_logs(within_s: float = FLUSH_MAX_S) -> None:
    """Wait until all lines are written, or for so long: before the process is ended at once."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogWriter):
            handler.flush(within_s)


def dropped_line_count() -> int:
    """Log lines that could not be written."""
    handlers = logging.getLogger().handlers
    return sum(each.dropped_count for each in handlers if isinstance(each, LogWriter))
