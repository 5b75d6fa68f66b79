import pytest

from conduit.addresses import Addresses, networks

PRIVATE = """127.0.0.1 127.9.9.9 ::1 10.1.2.3 172.31.0.1 192.168.1.1 fd00::1 fe80::1%eth0 169.254.1.1
::ffff:10.1.2.3"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_loopback_private_and_link_local_addresses_are_private(address):
    assert Addresses("private").key(address) is None


@pytest.mark.parametrize("address", ["203.0.113.9", "172.32.0.1", "2001:db8::1", "100.64.0.1"])
def test_other_addresses_are_not(address):
    assert Addresses("private").key(address) is not None


def test_trusted_are_the_addresses_and_networks_that_are_named_and_no_others():
    addresses = Addresses("203.0.113.0/24, 2001:db8:1::/48,198.51.100.7")
    for trusted in ("203.0.113.9", "2001:db8:1:2::3", "198.51.100.7"):
        assert addresses.key(trusted) is None
    for other in ("203.0.114.9", "2001:db8:2::3", "198.51.100.8", "127.0.0.1"):
        assert addresses.key(other) is not None


def test_private_may_stand_beside_others_and_none_is_nobody():
    assert Addresses("private,203.0.113.9").key("203.0.113.9") is None
    assert Addresses("private,203.0.113.9").key("127.0.0.1") is None
    assert Addresses("none").key("127.0.0.1") == "127.0.0.1"


def test_one_customers_ipv6_network_is_one_and_a_mapped_address_is_that_of_ipv4():
    key = Addresses("none").key
    assert key("2001:db8::1") == key("2001:db8::ffff:1:2") != key("2001:db8:0:1::1")
    assert key("::ffff:203.0.113.9") == key("203.0.113.9")


def test_what_is_no_address_is_not_counted():
    assert Addresses("none").key("/run/conduit.sock") is None


@pytest.mark.parametrize(
    "text", ["proxy.example", "203.0.113.9/24", "10.0.0.0/33", "1.2.3.4,,", "privat"]
)
def test_what_is_no_network_is_refused_with_its_name(text):
    with pytest.raises(ValueError, match="must be addresses"):
        networks(text)
