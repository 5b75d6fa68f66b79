"""A worker's ear for its supervisor; whole ones are in tests/e2e/test_workers.py."""

import importlib
import logging
import signal
import socket
from collections.abc import Iterator

import pytest

from conduit.server.workers.places import Place
from conduit.server.workers.worker import OF_ALL, SERVING, Worker
from tests.support.wait import until_true

PLACE = Place("127.0.0.1", 9001, "127.0.0.1", None)


class Server:
    """What it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.deadlines = 0

    def ordered(self, number: signal.Signals) -> None:
        self.told.append(number)

    def stop(self, why: str) -> None:
        self.told.append(why)

    def set_last_deadline(self) -> None:
        self.deadlines += 1


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Worker]]:
    """The supervisor's end of the socket, and the worker at the other one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Worker(2, PLACE, theirs, tells=False)


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in OF_ALL}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


async def test_every_order_reaches_the_server_and_the_first_sets_the_deadline(ends):
    server, (supervisor, worker) = Server(), ends
    worker.obey(server)
    worker.begin()
    supervisor.send(bytes([signal.SIGTERM]))
    await until_true(lambda: server.told)
    supervisor.send(bytes([signal.SIGTERM, signal.SIGINT]))
    await until_true(lambda: len(server.told) == 3)
    assert server.told == [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]
    assert server.deadlines == 1


async def test_a_worker_whose_supervisor_is_gone_ends_in_order(ends):
    server, (supervisor, worker) = Server(), ends
    worker.obey(server)
    worker.begin()
    supervisor.shutdown(socket.SHUT_RDWR)
    await until_true(lambda: server.told)
    assert (server.told, server.deadlines) == (["the supervisor is gone"], 1)


async def test_the_supervisor_hears_that_it_serves_and_may_be_gone(ends):
    supervisor, worker = ends
    worker.serves()
    assert supervisor.recv(10) == SERVING
    supervisor.close()
    worker.serves()


def test_its_name_is_its_own_on_this_machine(ends):
    assert ends[1].names("vm", 8080) == ("vm-2", "vm-8080-2")


def test_what_all_of_them_see_is_told_by_the_first_one(ends):
    for name in OF_ALL:
        # A logger of another name would be left alone, and nobody would notice.
        assert importlib.import_module(name).logger.name == name
    root = logging.getLogger().level
    try:
        logging.getLogger().setLevel(logging.INFO)
        ends[1].quieten()
        assert {logging.getLogger(name).level for name in OF_ALL} == {logging.WARNING}
        logging.getLogger().setLevel(logging.ERROR)
        ends[1].quieten()
        assert {logging.getLogger(name).level for name in OF_ALL} == {logging.ERROR}
    finally:
        logging.getLogger().setLevel(root)
