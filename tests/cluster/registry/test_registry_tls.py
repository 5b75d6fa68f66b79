"""The registry over TLS."""

import subprocess
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from tests.support.redis import RedisServer
from tests.support.registries import party, registry
from tests.support.wait import until_true

# As the kernel spells it in /proc/net/tcp.
ESTABLISHED = "01"

pytestmark = pytest.mark.process


def openssl(folder, command):
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A folder with a certificate authority, another one that signed nothing, and a server's certificate
    for localhost. Debian's postgresql, which the tests need, brings openssl."""
    folder = tmp_path_factory.mktemp("tls")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for name in ("ca", "other"):
        openssl(
            folder, f"req -x509 {key} -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        )
    openssl(folder, f"req {key} -subj /CN=localhost -keyout server.key -out server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    signed = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names"
    openssl(folder, f"x509 -req -in server.csr {signed} -out server.crt")
    return folder


@pytest.fixture
def tls_redis(authority):
    made = RedisServer(tls=authority)
    made.start()
    yield made
    made.remove()


async def test_two_nodes_meet_over_tls(tls_redis, authority):
    url = f"rediss://localhost:{tls_redis.port}/0?ssl_ca_certs={authority}/ca.crt"
    async with party(url, url) as two:
        two.want(0, "acme", "", "t", 1)
        await until_true(two.agrees)


async def test_a_redis_that_ends_under_tls_is_noticed_and_found_again(tls_redis, authority):
    url = f"rediss://localhost:{tls_redis.port}/0?ssl_ca_certs={authority}/ca.crt"
    async with party(url) as one:
        tls_redis.kill()
        await until_true(lambda: one.registries[0].state.trouble == "unreachable")
        tls_redis.start()
        await until_true(one.is_up)


async def test_sockets_do_not_pile_up_while_a_redis_is_stopped(tls_redis, authority):
    """A goodbye of TLS would wait for an answer."""
    url = f"rediss://localhost:{tls_redis.port}/0?ssl_ca_certs={authority}/ca.crt"
    async with party(url) as one:
        counts = one.registries[0].counts
        tls_redis.signal(SIGSTOP)
        await until_true(lambda: counts.failures == 3)
        # One that is being connected.
        assert open_sockets(tls_redis.port) <= 1
        tls_redis.signal(SIGCONT)
        await until_true(one.is_up)


def open_sockets(port):
    """How many sockets of this machine are connected to that port, and not closed here."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = [int(row[2].partition(":")[2], 16) for row in rows if row[3] == ESTABLISHED]
    return ports.count(port)


@pytest.mark.parametrize(
    ("url", "trouble", "why"),
    [
        ("rediss://localhost:{port}/0", "tls", "not trusted"),
        ("rediss://localhost:{port}/0?ssl_ca_certs={folder}/other.crt", "tls", "not trusted"),
        ("rediss://127.0.0.1:{port}/0?ssl_ca_certs={folder}/ca.crt", "tls", "not trusted"),
        ("rediss://localhost:{port}/0?ssl_ca_certs={folder}/missing", "unreachable", "a file"),
        ("rediss://localhost:{port}/0?ssl_ca_certs={folder}/names", "tls", ""),
        ("redis://localhost:{port}/0", "unreachable", "the connection"),
    ],
)
async def test_what_is_wrong_with_tls_is_told(tls_redis, authority, url, trouble, why):
    async with registry(url.format(port=tls_redis.port, folder=authority)) as one:
        await until_true(lambda: one.state.trouble == trouble)
        assert why in one.state.detail
        assert str(authority) not in one.state.detail


async def test_what_does_not_speak_tls_is_told(redis_server):
    async with registry(f"rediss://{redis_server.place}/0") as one:
        await until_true(lambda: one.state.trouble == "slow")


@pytest.mark.parametrize("option", ["ssl_check_hostname=false", "ssl_cert_reqs=none"])
async def test_what_is_looked_at_can_be_less(tls_redis, authority, option):
    url = f"rediss://127.0.0.1:{tls_redis.port}/0?{option}&ssl_ca_certs={authority}/ca.crt"
    async with registry(url) as one:
        await until_true(lambda: one.state.is_up)
