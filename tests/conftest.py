"""Options of the whole suite. Fixtures stand beside the tests that use them."""

import pytest
from hypothesis import settings

# A busy machine must not make an example fail, and a failure must say how to get it again.
settings.register_profile("conduit", deadline=None, print_blob=True)
settings.load_profile("conduit")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--crash-kills",
        type=int,
        default=3,
        help="how often the crash test kills the server (default: %(default)s)",
    )
