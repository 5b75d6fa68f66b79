"""A trap for secrets: a test during which one is logged fails.

Looked at are log records before anything is masked, what is printed, what commands say on stderr, and what
servers write, while they run and at their end. Whoever means to log a secret says so:
`@pytest.mark.leaks("why")`.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import secrets

# From a sentence whose arguments do not fit.
UNFORMATTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_RECORD = frozenset(vars(logging.makeLogRecord({})))


class _Records(logging.Handler):
    """Looks at each before it is rendered, so before anything is masked."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except UNFORMATTED:
            text = f"{record.msg} {record.args!r}"
        error = record.exc_info[1] if record.exc_info else None
        extra = {name: value for name, value in vars(record).items() if name not in _RECORD}
        secrets.look(f"the log {record.name}", "\n".join([text, *_told_by(error), repr(extra)]))


def _told_by(error: BaseException | None) -> Iterator[str]:
    """The texts of an error and its causes. The lines of code in a traceback are no leak."""
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__


class Trap:
    """The plugin."""

    def __init__(self) -> None:
        self._records = _Records()
        self._section_count = 0

    def install(self) -> None:
        """Watch from now on."""
        secrets.collect()
        subprocess.Popen.communicate = _looking_at_commands(subprocess.Popen.communicate)
        pytest.CaptureFixture.readouterr = _looking_at_stderr(pytest.CaptureFixture.readouterr)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._section_count = 0
        root = logging.getLogger()
        # A test may have put others in the place of all handlers.
        if self._records not in root.handlers:
            root.addHandler(self._records)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[Any]:
        report = yield
        for name, text in report.sections[self._section_count :]:
            secrets.look(name, text)
        self._section_count = len(report.sections)
        leaks = secrets.leaks()
        if leaks and item.get_closest_marker("leaks") is None:
            report.outcome = "failed"
            report.sections = [(name, secrets.masked(text)) for name, text in report.sections]
            report.longrepr = "\n".join([f"secrets were shown in {item.nodeid}:", *leaks])
        return report


def _looking_at_commands(communicate: Callable[..., Any]) -> Callable[..., Any]:
    def looking(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> Any:
        out, err = communicate(process, *args, **kwargs)
        if err:
            text = err if isinstance(err, str) else err.decode(errors="replace")
            secrets.look(f"stderr of {process.args!r:.100}", text)
        return out, err

    return looking


def _looking_at_stderr(read: Callable[..., Any]) -> Callable[..., Any]:
    def looking(capture: pytest.CaptureFixture[Any]) -> Any:
        captured = read(capture)
        secrets.look(
            "stderr", captured.err if isinstance(captured.err, str) else repr(captured.err)
        )
        return captured

    return looking
