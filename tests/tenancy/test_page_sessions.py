"""Sessions of pages, without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import Forbidden, NotFound, Unauthenticated
from conduit.grants import Grant
from conduit.redaction import redacted
from conduit.tenancy.accounts import KeySpec
from conduit.tenancy.page_sessions import (
    ANY_SESSION,
    COOKIE_MAX_BYTES,
    RENEWED_AFTER_S,
    SESSION_IDLE_S,
    SESSION_MAX_S,
    TENANTS_MAX_COUNT,
    PageSessions,
)
from conduit.tenancy.tokens import Tokens, Wanted
from conduit.tenancy.verifier import Verifier
from tests.support.secrets import register
from tests.tenancy.kit import by_secret, encoded, refuses
from tests.tenancy.registered import OPERATOR, PEPPER, Kit, another, running_kit

DEFAULT = "a default key that somebody chose"
register(DEFAULT)


@pytest.fixture
async def kit():
    async with running_kit(DEFAULT) as kit:
        yield kit


def pages_of(kit: Kit, pepper: bytes = PEPPER) -> PageSessions:
    return PageSessions(kit.registry, kit.clock, pepper)


def signed_in(kit: Kit, pages: PageSessions, key: str) -> str:
    """A cookie."""
    caller = kit.registry.authenticate(key.encode())
    return pages.cookie(pages.begin(caller, "/", is_secure=False).session)


def is_good(pages: PageSessions, cookie: str) -> bool:
    try:
        pages.verify(cookie, None)
    except Unauthenticated:
        return False
    return True


async def test_a_session_may_do_what_its_key_may_and_nothing_else(kit: Kit):
    made = await kit.key(Grant(scope="publish", topics=("a.*",)), Grant(scope="manage"))
    pages = pages_of(kit)
    found = pages.verify(signed_in(kit, pages, made.text), None)
    key = kit.registry.authenticate(made.text.encode())
    assert (found.tenant, found.actor, found.grants, found.key_id, found.limits) == (
        key.tenant,
        key.actor,
        key.grants,
        key.key_id,
        key.limits,
    )
    assert found.may("publish", "a.b")
    assert not found.may("publish", "b")
    assert (found.is_page, found.is_token) == (True, False)
    assert found.source is key


async def test_what_is_given_in_a_session_lasts_as_long_as_the_key_may_give(kit: Kit):
    pages = pages_of(kit)
    end_ms = kit.clock.ms + 1_000 * (SESSION_MAX_S + 60)
    for ends, error in ((None, None), (end_ms, Forbidden)):
        made = await kit.key(expires_at_ms=ends)
        caller = pages.verify(signed_in(kit, pages, made.text), None)
        assert caller.expires_at_ms is not None
        spec = KeySpec("another", (Grant(scope="publish"),))
        if error is None:
            register((await kit.accounts.create_key(caller, spec)).text)
            register((await kit.accounts.rotate_key(caller, made.record.key_id, 0)).text)
        else:
            with pytest.raises(error):
                await kit.accounts.create_key(caller, spec)


async def test_the_session_of_an_operator_names_tenants_as_the_key_does(kit: Kit):
    await kit.tenant("acme")
    admin = await kit.key(Grant(scope="admin"))
    other = await kit.key(by=await kit.tenant("blue"))
    pages = pages_of(kit)
    cookie = signed_in(kit, pages, admin.text)
    assert pages.verify(cookie, "acme").tenant == "acme"
    assert pages.verify(cookie, "acme").is_acting
    assert not pages.verify(cookie, None).is_acting
    with pytest.raises(NotFound):
        pages.verify(cookie, "nowhere")
    assert pages.verify(signed_in(kit, pages, other.text), "acme").tenant == "blue"


async def test_it_ends_at_its_end_and_when_it_was_not_renewed(kit: Kit):
    made = await kit.key()
    pages = pages_of(kit)
    cookie = signed_in(kit, pages, made.text)
    kit.clock.pass_s(SESSION_IDLE_S - 1)
    assert is_good(pages, cookie)
    newer = pages.renewed(pages.verify(cookie, None).session)
    kit.clock.pass_s(1)
    assert not is_good(pages, cookie)
    began_s = SESSION_IDLE_S
    while newer is not None and is_good(pages, pages.cookie(newer)):
        assert began_s < SESSION_MAX_S
        kit.clock.pass_s(SESSION_IDLE_S / 2)
        began_s += SESSION_IDLE_S / 2
        newer = pages.renewed(newer)
    assert began_s == SESSION_MAX_S


async def test_it_is_made_anew_at_most_once_a_minute_and_with_the_same_end(kit: Kit):
    pages = pages_of(kit)
    session = pages.begin(
        kit.registry.authenticate((await kit.key()).text.encode()), "/a/", is_secure=True
    ).session
    kit.clock.pass_s(RENEWED_AFTER_S - 1)
    assert pages.renewed(session) is None
    kit.clock.pass_s(1)
    newer = pages.renewed(session)
    assert newer is not None
    assert (newer.id, newer.ends_at_ms, newer.path, newer.is_secure) == (
        session.id,
        session.ends_at_ms,
        "/a/",
        True,
    )


async def test_it_ends_with_its_key(kit: Kit):
    pages = pages_of(kit)
    revoked, rotated = await kit.key(), await kit.key()
    expiring = await kit.key(expires_at_ms=kit.clock.ms + 60_000)
    cookies = [signed_in(kit, pages, made.text) for made in (revoked, rotated, expiring)]
    assert all(is_good(pages, cookie) for cookie in cookies)
    assert pages.verify(cookies[2], None).expires_at_ms == kit.clock.ms + 60_000
    await kit.accounts.revoke_key(OPERATOR, revoked.record.key_id)
    assert [is_good(pages, cookie) for cookie in cookies] == [False, True, True]
    newer = await kit.accounts.rotate_key(OPERATOR, rotated.record.key_id, 3_600)
    assert [is_good(pages, cookie) for cookie in cookies] == [False, False, True]
    kit.clock.pass_s(60)
    assert [is_good(pages, cookie) for cookie in cookies] == [False, False, False]
    register(newer.text)
    assert is_good(pages, signed_in(kit, pages, newer.text))
    with pytest.raises(Forbidden, match="rotated"):
        signed_in(kit, pages, rotated.text)


async def test_who_has_it_when_its_key_changes_signs_in_again(kit: Kit):
    made = await kit.key(Grant(scope="publish"), Grant(scope="manage"))
    pages = pages_of(kit)
    held = pages.verify(signed_in(kit, pages, made.text), None)
    await kit.accounts.revoke_key(OPERATOR, made.record.key_id)
    assert held.is_over
    with pytest.raises(Unauthenticated):
        kit.registry.renewed(held)


async def test_a_key_that_is_rotated_ends_it_for_who_has_it_though_the_former_secret_counts(
    kit: Kit,
):
    made = await kit.key(Grant(scope="publish"))
    pages = pages_of(kit)
    held = pages.verify(signed_in(kit, pages, made.text), None)
    register((await kit.accounts.rotate_key(OPERATOR, made.record.key_id, 3_600)).text)
    former = kit.registry.authenticate(made.text.encode())
    assert held.is_over
    with pytest.raises(Unauthenticated):
        kit.registry.renewed(held)
    with pytest.raises(Unauthenticated):
        pages.admitted(held.session, former)


async def test_of_several_cookies_the_newest_counts_and_of_several_keys_none(kit: Kit):
    one, other = await kit.key(), await kit.key()
    pages = pages_of(kit)
    first = signed_in(kit, pages, one.text)
    kit.clock.pass_s(1)
    second = signed_in(kit, pages, one.text)
    strange = signed_in(kit, pages, other.text)
    for texts in ([first, second], [second, "cs_x.y", first], [second]):
        assert pages.chosen(texts, ANY_SESSION) == second
    for texts in ([first, strange], [strange, second, first]):
        with pytest.raises(Unauthenticated, match="of several keys"):
            pages.chosen(texts, ANY_SESSION)
    for texts in (["cs_x.y"], [""]):
        assert not is_good(pages, pages.chosen(texts, ANY_SESSION))


async def test_a_page_that_is_of_another_session_than_the_browsers_is_refused(kit: Kit):
    pages = pages_of(kit)
    mine, other = [signed_in(kit, pages, (await kit.key()).text) for _ in range(2)]
    my_id = pages.verify(mine, None).session.id
    assert pages.chosen([other, mine], my_id) == mine
    for wanted in (my_id, "", "2"):
        with pytest.raises(Unauthenticated, match="another session"):
            pages.chosen([other], wanted)


async def test_signing_out_ends_it_also_for_who_has_it_already(kit: Kit):
    for key in ((await kit.key()).text, DEFAULT):
        pages = pages_of(kit)
        cookie, other = signed_in(kit, pages, key), signed_in(kit, pages, key)
        held = pages.verify(cookie, None)
        assert kit.registry.renewed(held).is_page
        pages.sign_out(held.session)
        assert held.is_over
        assert not is_good(pages, cookie)
        with pytest.raises(Unauthenticated):
            kit.registry.renewed(held)
        with pytest.raises(Unauthenticated):
            pages.admitted(held.session, held.source)
        assert is_good(pages, other)


async def test_the_default_key_begins_sessions_that_end_with_it(kit: Kit):
    cookie = signed_in(kit, pages_of(kit), DEFAULT)
    assert pages_of(kit).verify(cookie, None).source is kit.registry.default
    async with running_kit("another default key") as other:
        assert not is_good(pages_of(other), cookie)


async def test_it_counts_at_every_server_of_the_store_and_no_other(kit: Kit):
    made = await kit.key()
    cookie = signed_in(kit, pages_of(kit), made.text)
    there = another(kit)
    assert not is_good(pages_of(there), cookie)
    # Its key is not known there yet; that a server has made it is.
    assert pages_of(there).signed([cookie])
    await there.registry.refresh()
    assert is_good(pages_of(there), cookie)
    strangers = pages_of(kit, b"another pepper")
    assert not strangers.signed([cookie])
    assert strangers.cookie_name != pages_of(kit).cookie_name


async def test_only_a_key_begins_one(kit: Kit):
    made = await kit.key(Grant(scope="admin"))
    pages, tokens = pages_of(kit), Tokens(PEPPER, 3_600)
    kit.registry.tokens = Verifier(kit.registry, tokens)
    wanted = Wanted(
        tenant="default",
        key_id=made.record.key_id,
        grants=(Grant(scope="publish"),),
        tenant_since_ms=kit.registry.tenant("default").created_at_ms,
    )
    token, _ = tokens.mint(wanted, made.record.grants, kit.clock.ms)
    for other in (
        kit.registry.authenticate(token.encode()),
        pages.verify(signed_in(kit, pages, made.text), None),
    ):
        with pytest.raises(Forbidden):
            pages.begin(other, "/", is_secure=False)


async def test_what_it_says_is_no_secret_of_the_key(kit: Kit):
    made = await kit.key()
    pages = pages_of(kit)
    cookie = signed_in(kit, pages, made.text)
    session = pages.verify(cookie, None).session
    text = json.dumps(str(session)) + cookie
    assert made.record.secret_hash.hex() not in text
    assert encoded(made.record.secret_hash) not in text
    assert cookie not in redacted(f"somebody sent {cookie} here")
    assert cookie.rpartition(".")[2] not in redacted(f"{cookie!r}")


async def test_forged_ones_are_refused_alike(kit: Kit):
    made = await kit.key()
    pages = pages_of(kit)
    cookie = signed_in(kit, pages, made.text)
    payload, _, signature = cookie.removeprefix("cs_").partition(".")
    longer = signature[:-1] + ("B" if signature[-1] == "A" else "A")
    fields = {"id": "x", "key": made.record.key_id}
    own_secret = by_secret(PEPPER)(json.dumps(fields).encode())
    forged = [
        "",
        "cs_",
        "cs_.",
        payload,
        cookie + "A",
        f"cs_{payload}.",
        f"cs_{payload}.{longer}",
        f"cs_{payload}A.{signature}",
        f"cs_{payload}.{signature}=",
        f"cs_{encoded(fields)}.{encoded(own_secret)}",
        cookie.replace("cs_", "ct_"),
        "cs_" + "A" * COOKIE_MAX_BYTES + f".{signature}",
    ]
    for text in forged:
        refuses(lambda text=text: pages.verify(text, None), text)
        assert not pages.signed([text])


class Midnight:
    def wall_ms(self) -> int:
        return 0


@given(st.text(max_size=60))
def test_any_text_is_refused(text):
    pages = PageSessions(None, Midnight(), PEPPER)
    refuses(lambda: pages.verify(text, None), "")


async def test_what_is_remembered_of_one_session_is_bounded(kit: Kit):
    admin = await kit.key(Grant(scope="admin"))
    pages = pages_of(kit)
    cookie = signed_in(kit, pages, admin.text)
    for number in range(TENANTS_MAX_COUNT + 5):
        name = f"t{number}"
        await kit.tenant(name)
        pages.verify(cookie, name)
    known = pages._known(cookie)
    assert len(known.principals) <= TENANTS_MAX_COUNT
    # Who is no operator names tenants in vain.
    cookie = signed_in(kit, pages, (await kit.key(Grant(scope="manage"))).text)
    assert {pages.verify(cookie, f"t{number}").tenant for number in range(20)} == {"default"}
    assert len(pages._known(cookie).principals) == 1
