import socket

import pytest

from conduit.environment import load_settings
from conduit.server.workers.places import Place, places, with_secret, worker_name

HOST = socket.gethostname()
SHARED = {"DATABASE_URL": "postgresql://x@db/x", "CONDUIT_WORKERS": "2"}
SECRET = "of-the-nodes-0123456789"


def found(**environ: str) -> list[Place]:
    return places(load_settings(SHARED | environ))


def test_without_an_address_they_have_free_ports_that_only_this_machine_reaches():
    assert found() == [Place("127.0.0.1", 0, "127.0.0.1", None)] * 2


def test_with_an_address_each_has_the_next_port_of_where_the_server_listens():
    first, second = found(NODE_ADDR="10.0.0.7:9001", INTERNAL_SECRET=SECRET, CONDUIT_HOST="::")
    assert (first.host, first.port, first.address) == ("::", 9001, "10.0.0.7:9001")
    assert (second.host, second.port, second.address) == ("::", 9002, "10.0.0.7:9002")
    (first, _) = found(NODE_ADDR=":9001", INTERNAL_SECRET=SECRET)
    assert (first.host, first.address) == ("0.0.0.0", f"{HOST}:9001")
    (first, second) = found(NODE_ADDR="[2001:db8::7]:9001", INTERNAL_SECRET=SECRET)
    assert second.address == "[2001:db8::7]:9002"


@pytest.mark.parametrize(
    ("named", "host"), [("localhost", "127.0.0.1"), ("127.0.0.9", "127.0.0.9"), ("[::1]", "::1")]
)
def test_an_address_of_loopback_is_where_they_listen(named, host):
    _, second = found(NODE_ADDR=f"{named}:9001")
    assert second == Place(host, 9002, named, None)


def test_each_has_a_port_for_its_operator():
    assert [place.admin_port for place in found(CONDUIT_ADMIN_PORT="9100")] == [9100, 9101]
    assert [place.admin_port for place in found(CONDUIT_ADMIN_PORT="0")] == [0, 0]


def test_a_secret_is_made_up_if_there_is_none():
    settings = load_settings(SHARED)
    made, another = with_secret(settings), with_secret(settings)
    assert len(made.internal_secrets[0]) >= 40
    assert made.internal_secrets != another.internal_secrets
    assert made.internal_secrets[0] in made.secrets
    given = load_settings(SHARED | {"INTERNAL_SECRET": SECRET})
    assert with_secret(given) is given


def test_a_worker_is_named_after_its_node():
    assert worker_name("east", 2) == "east-2"
