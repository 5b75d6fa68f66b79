import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.node_address import advertised, check, loopback_of


@pytest.mark.parametrize(
    "text",
    [
        ":8080",
        "server-1:8080",
        "conduit_node_1:1",
        "node.example.:65535",
        "10.0.0.7:8080",
        "[2001:db8::7]:8080",
        "[::ffff:10.0.0.7]:8080",
        "0a1b2c3d4e5f:8080",
        "123456789012:8080",
    ],
)
def test_a_host_and_a_port_are_taken(text):
    check(text)
    assert load_settings({"NODE_ADDR": text}).node_addr == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server-1", "with a port of 1 to 65535"),
        ("8080", "with a port of 1 to 65535"),
        ("server-1:", "with a port of 1 to 65535"),
        ("server-1:0", "with a port of 1 to 65535"),
        ("server-1:65536", "with a port of 1 to 65535"),
        ("server-1:٨٠", "with a port of 1 to 65535"),
        ("server-1:+80", "with a port of 1 to 65535"),
        ("http://server-1:8080", "in brackets"),
        ("https://id.example/x", "with a port of 1 to 65535"),
        ("user@server-1:8080", "that the other nodes resolve"),
        ("two words:8080", "that the other nodes resolve"),
        ("-x:8080", "that the other nodes resolve"),
        (f"{'x' * 254}:8080", "that the other nodes resolve"),
        ("2001:db8::7:8080", "in brackets"),
        ("[server-1]:8080", "server-1 is no address"),
        ("[10.0.0.7]:8080", "in brackets only an IPv6 address"),
        ("[fe80::1%eth0]:8080", "without a zone"),
        ("10.0.0:8080", "10.0.0 is no address"),
        ("10.0.0.256:8080", "10.0.0.256 is no address"),
        ("0.0.0.0:8080", "0.0.0.0 is no such address"),
        ("[::]:8080", ":: is no such address"),
        ("224.0.0.1:8080", "224.0.0.1 is no such address"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(ConfigError) as raised:
        load_settings({"NODE_ADDR": text})
    (problem,) = raised.value.problems
    assert problem.startswith("NODE_ADDR must")
    assert said in problem


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (None, "machine:8080"),
        (":9000", "machine:9000"),
        ("server-1:9000", "server-1:9000"),
        ("[2001:db8::7]:9000", "[2001:db8::7]:9000"),
    ],
)
def test_what_is_not_said_is_the_name_of_the_machine_and_the_port_where_it_listens(text, address):
    assert advertised(text, "machine", 8080) == address


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1.2.3", "127.1.2.3"),
        ("[::1]", "::1"),
        ("10.0.0.7", None),
        ("[2001:db8::7]", None),
        ("server-1", None),
        ("localhost.example", None),
    ],
)
def test_which_host_only_this_machine_reaches_is_known(host, address):
    assert loopback_of(host) == address
