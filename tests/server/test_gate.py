import pytest

from conduit.errors import Forbidden, Unauthenticated
from conduit.grants import Grant
from conduit.server.gate import Gate
from conduit.server.head import parse_head
from tests.server.port import request
from tests.tenancy.registered import Kit, running_kit

HEAD = parse_head(request("GET", "/api/topics"))


@pytest.fixture
async def kit():
    async with running_kit() as kit:
        yield kit


def test_without_authentication_nobody_is_asked():
    gate = Gate()
    assert gate.is_open
    for credential in (None, b"", b"whatever"):
        assert gate.admit(HEAD, credential, None) is gate.nobody
        assert gate.nobody.tenant == "default"
    assert gate.sign_in(b"x", None) is gate.nobody
    assert gate.refreshed(gate.nobody, b"x", None) is gate.nobody


async def test_whoever_is_not_known_is_told_so_when_he_asks_for_something(kit: Kit):
    gate = Gate(kit.registry)
    assert not gate.is_open
    for credential, is_refused in ((None, False), (b"", True), (b"x", True)):
        caller = gate.admit(HEAD, credential, None)
        assert (caller.is_known, caller.is_refused) == (False, is_refused)
        with pytest.raises(Unauthenticated):
            caller.check(("publish",))


async def test_a_newer_key_is_of_the_same_tenant_or_an_operators(kit: Kit):
    acme = await kit.tenant("acme")
    gate = Gate(kit.registry)
    first = await kit.key(Grant(scope="publish"), by=acme)
    second = await kit.key(Grant(scope="subscribe"), by=acme)
    other, operator = await kit.key(Grant(scope="publish")), await kit.key(Grant(scope="admin"))
    caller = gate.sign_in(first.text.encode(), None)
    assert gate.refreshed(caller, second.text.encode(), None).may("subscribe")
    assert gate.refreshed(caller, operator.text.encode(), None).tenant == "acme"
    with pytest.raises(Forbidden):
        gate.refreshed(caller, other.text.encode(), None)
