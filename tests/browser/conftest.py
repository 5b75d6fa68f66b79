"""One browser for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Here, because the fast tests collect this folder where Playwright is not installed.
    from tests.browser.pages import running_browser

    with running_browser() as browser:
        yield browser
