"""Options of the whole suite, and the servers that many tests share. All other fixtures stand beside the
tests that use them.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster

# A busy machine must not make an example fail, and a failure must say how to get it again.
settings.register_profile("conduit", deadline=None, print_blob=True)
settings.load_profile("conduit")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server with one database, for all tests of the session."""
    made = Cluster()
    made.start()
    made.create_database()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def pgbouncer(cluster: Cluster) -> Iterator[PgBouncer]:
    """A pooler in transaction mode in front of it."""
    made = PgBouncer(cluster)
    yield made
    made.remove()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--crash-kills",
        type=int,
        default=3,
        help="how often a crash test kills or cuts off (default: %(default)s)",
    )
