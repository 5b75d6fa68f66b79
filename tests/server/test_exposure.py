import pytest

from conduit.server.exposure import Exposure, exposure
from conduit.server.origins import Origins


@pytest.mark.parametrize(
    ("addresses", "open_to"),
    [
        (["127.0.0.1"], "loopback"),
        (["127.0.0.7", "::1"], "loopback"),
        (["0.0.0.0"], "network"),
        (["::"], "network"),
        (["192.168.1.5"], "network"),
        (["fe80::1%eth0"], "network"),
        (["127.0.0.1", "10.0.0.1"], "network"),
    ],
)
def test_every_address_has_to_be_the_machines_own(addresses, open_to):
    found = exposure(addresses, Origins(), has_auth=False)
    assert found == Exposure(False, open_to, "any")
    assert (found.warning is None) == (open_to == "loopback")


def test_with_keys_nothing_is_open():
    found = exposure(["0.0.0.0"], Origins(), has_auth=True)
    assert found == Exposure(True)
    assert found.warning is None
    assert "any web page" not in found.told


def test_pages_are_told_of_where_all_may():
    assert "CORS_ORIGIN" in exposure(["::1"], Origins(), has_auth=False).told
    named = exposure(["::1"], Origins("https://app.example"), has_auth=False)
    assert (named.pages, named.told) == ("named", "auth: none")
