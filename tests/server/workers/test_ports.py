import socket
from contextlib import closing

import pytest

from conduit.server.workers.ports import bind, reserve

HOST = "127.0.0.1"


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


def test_a_port_is_kept_for_those_who_share_it_and_connections_go_to_who_listens():
    with closing(reserve(HOST, 0)) as kept, closing(bind(HOST, port_of(kept), is_shared=True)) as a:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port_of(kept)))
        a.listen()
        for _ in range(20):
            with socket.create_connection((HOST, port_of(kept))):
                a.accept()[0].close()


def test_when_one_of_two_is_gone_the_other_gets_all():
    with closing(reserve(HOST, 0)) as kept:
        a, b = (bind(HOST, port_of(kept), is_shared=True) for _ in range(2))
        a.listen()
        b.listen()
        a.close()
        with closing(b):
            for _ in range(20):
                with socket.create_connection((HOST, port_of(kept))):
                    b.accept()[0].close()


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_on_which_somebody_listens_is_not_to_be_had(is_shared):
    with closing(bind(HOST, 0, is_shared=is_shared)) as taken:
        taken.listen()
        with pytest.raises(OSError, match=rf"cannot listen on {HOST}:{port_of(taken)}: Address"):
            reserve(HOST, port_of(taken))


def test_a_name_that_is_none_is_told():
    with pytest.raises(OSError, match=r"cannot listen on no\.such\.name\.invalid:80: "):
        reserve("no.such.name.invalid", 80)
