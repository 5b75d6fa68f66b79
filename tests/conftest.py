"""Options and marks of the whole suite, where its files are, and the servers that many tests share. All
other fixtures stand beside the tests that use them.
"""

import gc
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis.strategies import just

from tests.support import processes, scratch
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster
from tests.support.trap import Trap

# A busy machine must not make an example fail, and a failure must say how to get it again.
settings.register_profile("conduit", deadline=None, print_blob=True)
settings.register_profile("fast", settings.get_profile("conduit"), max_examples=20)
settings.load_profile("conduit")


# Tests make and drop thousands of tables. The system catalog grows by that, and soon every question about
# types seems worth compiling: a second and more, behind a pooler for each connection. The write-ahead log
# may be in memory.
POSTGRES = ("jit=off", "max_wal_size=256MB")

# A limit above this is one of a test that takes a minute.
LONG_S = 240


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server with one database, for all tests of the session."""
    # What initdb has written may be lost with the machine, which loses the tests too.
    made = Cluster(options=POSTGRES, initdb=["--no-sync"])
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


def pytest_configure(config: pytest.Config) -> None:
    tempfile.tempdir = scratch.folder()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that has us run in the background wants that. Commands that we start would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    guard = processes.Guard()
    guard.install()
    config.pluginmanager.register(guard)
    trap = Trap()
    trap.install()
    config.pluginmanager.register(trap)


def pytest_report_header() -> str:
    return f"files: {tempfile.gettempdir()}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # Nothing of what is made now is garbage.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    # Before tests are chosen by marks, and ordered by chance.
    processes.mark(items)
    result = yield
    # They begin first, in whatever order the rest is: none runs alone at the end.
    items.sort(key=_is_long, reverse=True)
    return result


def _is_long(item: pytest.Item) -> bool:
    """Whether it may take much longer than others."""
    found = item.get_closest_marker("timeout")
    return bool(found and found.args[0] > LONG_S)


def pytest_collection_finish() -> None:
    # The tests themselves stay to the end: nobody looks through them for garbage again and again. Hypothesis
    # looks for who holds the dice that it finds, and finds none then that is frozen: it does so before.
    given(just(0))(settings(max_examples=1)(lambda _: None))()
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--crash-kills",
        type=int,
        default=3,
        help="how often a crash test kills or cuts off (default: %(default)s)",
    )
