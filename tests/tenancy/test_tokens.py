import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import Forbidden, InvalidRequest, Unauthenticated
from conduit.grants import ALL_PATTERNS_MAX_COUNT, Grant
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from conduit.tenancy.tokens import Tokens
from tests.tenancy.kit import NOW_MS, NOW_S, encoded, refuses
from tests.tenancy.own import ALL, DAY_S, HEADER, PEPPER, SECRET, everything, made, wanted

tokens_of_names = st.text("abcXYZ019_-", min_size=1, max_size=6)
topics = st.lists(tokens_of_names, min_size=1, max_size=4).map(".".join)
patterns = st.one_of(topics, topics.map(lambda topic: f"{topic}.>"), st.just("*.x"))
some_patterns = st.none() | st.lists(patterns, min_size=1, max_size=3).map(tuple)
grants = st.one_of(
    st.builds(Grant, scope=st.sampled_from(["publish", "manage"]), topics=some_patterns),
    st.builds(Grant, scope=st.just("subscribe"), topics=some_patterns, subscriptions=some_patterns),
)
subjects = st.none() | st.text(min_size=1, max_size=255).filter(str.isprintable)


@given(
    st.lists(grants, min_size=1, max_size=5).map(tuple),
    subjects,
    st.integers(1, DAY_S),
    st.integers(0, 4 * 10**12),
)
def test_what_was_put_into_a_token_comes_out_until_it_expires(scopes, subject, ttl_s, now_ms):
    tokens = made()
    token, told = tokens.mint(wanted(*scopes, subject=subject, ttl_s=ttl_s), ALL, now_ms)
    assert Tokens.is_own(token)
    assert len(token) <= CREDENTIAL_MAX_BYTES
    # By the one that made it, which remembers nothing yet, and by another server.
    for each in (tokens, made()):
        claims = each.verify(token, now_ms, everything)
        assert claims == told
    assert (claims.tenant, claims.key_id, claims.subject) == ("acme", "AbCd1234", subject)
    assert claims.actor == f"token:{claims.token_id}"
    assert [grant.topics for grant in claims.grants] == [grant.topics for grant in scopes]
    assert 0 <= claims.expires_at_ms - (now_ms + ttl_s * 1000) < 1000
    assert tokens.verify(token, claims.expires_at_ms - 1, everything) == told
    for each in (tokens, made()):
        refuses(lambda each=each: each.verify(token, told.expires_at_ms, everything), token)


def test_a_token_is_a_jwt_as_others_read_it():
    from joserfc import jwk, jwt

    token, claims = made().mint(wanted(subject="jörg"), ALL, NOW_MS)
    read = jwt.decode(token, jwk.OctKey.import_key(SECRET), algorithms=["HS256"])
    assert read.header == {"alg": "HS256", "typ": "conduit+jwt"}
    assert read.claims["sub"] == "jörg"
    assert read.claims["exp"] * 1000 == claims.expires_at_ms
    assert PEPPER not in SECRET


def test_two_tokens_are_never_the_same():
    tokens = made()
    assert len({tokens.mint(wanted(), ALL, NOW_MS)[1].token_id for _ in range(100)}) == 100


def test_each_byte_of_a_token_counts():
    tokens = made()
    token, _ = tokens.mint(wanted(), ALL, NOW_MS)
    assert tokens.verify(token, NOW_MS, everything)
    for at, char in enumerate(token):
        for other in string.ascii_letters + string.digits + "-_.=+/ \n\0é":
            if other != char:
                changed = token[:at] + other + token[at + 1 :]
                with pytest.raises(Unauthenticated):
                    tokens.verify(changed, NOW_MS, everything)


@given(st.data())
def test_a_token_that_was_cut_or_mixed_up_is_refused(data):
    tokens = made()
    token, _ = tokens.mint(wanted(), ALL, NOW_MS)
    begin = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(begin, len(token)))
    changed = token[:begin] + data.draw(st.text(max_size=8)) + token[end:]
    if changed != token:
        refuses(lambda: tokens.verify(changed, NOW_MS, everything), changed)


@given(st.text() | st.binary().map(encoded))
def test_what_is_no_token_is_refused(text):
    tokens = made()
    for token in (text, f"{encoded(HEADER)}.{text}", f"{encoded(HEADER)}.{text}.{text}"):
        refuses(lambda token=token: tokens.verify(token, NOW_MS, everything), token)


def test_a_token_of_another_pepper_is_refused():
    token, _ = Tokens(b"another pepper", DAY_S).mint(wanted(), ALL, NOW_MS)
    refuses(lambda: made().verify(token, NOW_MS, everything), token)


@pytest.mark.parametrize("ttl_s", [0, -1, 61])
def test_a_life_out_of_bounds_is_refused_with_the_bound(ttl_s):
    with pytest.raises(InvalidRequest, match="1 to 60") as refused:
        made(60).mint(wanted(ttl_s=ttl_s), ALL, NOW_MS)
    assert refused.value.field == "ttl_s"


def test_without_a_wish_it_lives_for_a_quarter_of_an_hour_or_as_long_as_it_may():
    for most_s, lives_s in ((DAY_S, 900), (60, 60)):
        _, claims = made(most_s).mint(wanted(), ALL, NOW_MS)
        assert claims.expires_at_ms == (int(NOW_S) + lives_s + 1) * 1000


def test_a_bound_that_is_lowered_holds_for_tokens_that_were_made_before():
    token, _ = made().mint(wanted(ttl_s=3_600), ALL, NOW_MS)
    refuses(lambda: made(60).verify(token, NOW_MS, everything), token)
    assert made(3_600).verify(token, NOW_MS, everything)


def test_the_longest_token_counts_from_its_first_moment():
    for now_ms in (NOW_MS, 1_800_000_000_000, 1_800_000_000_999):
        token, _ = made(60).mint(wanted(ttl_s=60), ALL, now_ms)
        assert made(60).verify(token, now_ms, everything)


def test_a_server_whose_clock_is_a_little_late_takes_it_at_once():
    token, _ = made().mint(wanted(), ALL, NOW_MS)
    assert made().verify(token, NOW_MS - 30_000, everything)
    refuses(lambda: made().verify(token, NOW_MS - 31_000, everything), token)


def test_it_does_not_outlive_its_key():
    _, claims = made().mint(wanted(key_expires_at_ms=NOW_MS + 10_500), ALL, NOW_MS)
    assert claims.expires_at_ms == (int(NOW_S) + 10) * 1000
    with pytest.raises(Unauthenticated):
        made().mint(wanted(key_expires_at_ms=NOW_MS + 500), ALL, NOW_MS)


@pytest.mark.parametrize(
    "grant",
    [
        Grant(scope="manage"),
        Grant(scope="publish"),
        Grant(scope="publish", topics=("a.>",)),
        Grant(scope="subscribe", topics=("b",), subscriptions=("other",)),
    ],
)
def test_a_key_gives_nothing_that_it_does_not_have(grant):
    rights = (
        Grant(scope="publish", topics=("a.*",)),
        Grant(scope="subscribe", subscriptions=("web.*",)),
    )
    with pytest.raises(Forbidden):
        made().mint(wanted(grant), rights, NOW_MS)


def test_a_token_never_has_admin():
    admin = Grant(scope="admin")
    with pytest.raises(InvalidRequest) as refused:
        made().mint(wanted(Grant(scope="publish"), admin), (*ALL, admin), NOW_MS)
    assert refused.value.field == "scopes.1.scope"


def test_what_its_key_may_not_do_any_more_a_token_may_not_either():
    tokens = made()
    token, _ = tokens.mint(wanted(), ALL, NOW_MS)
    now: list[tuple[Grant, ...] | None] = [ALL]

    def rights_of(_key_id, _tenant):
        return now[0]

    assert tokens.verify(token, NOW_MS, rights_of)
    for rights in (None, (), (Grant(scope="publish", topics=("a.b",)),), (Grant(scope="manage"),)):
        now[0] = rights
        refuses(lambda: tokens.verify(token, NOW_MS, rights_of), token)
    now[0] = (Grant(scope="publish", topics=(">",)),)
    assert tokens.verify(token, NOW_MS, rights_of)


def test_rights_are_those_of_the_key_for_the_tenant_that_the_token_names():
    asked = []
    token, _ = made().mint(wanted(), ALL, NOW_MS)
    made().verify(token, NOW_MS, lambda *which: asked.append(which) or ALL)
    assert asked == [("AbCd1234", "acme")]


def test_a_token_that_names_no_durable_subscription_may_use_none():
    narrow = (Grant(scope="subscribe", subscriptions=("web.*",)),)
    for rights in (narrow, ALL):
        token, claims = made().mint(wanted(Grant(scope="subscribe")), rights, NOW_MS)
        assert claims.grants == (Grant(scope="subscribe", subscriptions=()),)
        assert made().verify(token, NOW_MS, lambda *_, now=rights: now) == claims
    _, claims = made().mint(
        wanted(Grant(scope="subscribe", subscriptions=("web.1",))), narrow, NOW_MS
    )
    assert claims.grants[0].subscriptions == ("web.1",)


def test_a_token_that_would_be_too_large_is_not_made():
    half = ALL_PATTERNS_MAX_COUNT // 2
    topics = tuple(f"{at:0>100}" for at in range(half))
    both = [Grant(scope=scope, topics=topics) for scope in ("publish", "manage")]
    with pytest.raises(InvalidRequest, match="fewer") as refused:
        made().mint(wanted(*both), ALL, NOW_MS)
    assert refused.value.field == "scopes"
    full = [Grant(scope="publish", topics=("a",) * half)] * 2
    assert made().mint(wanted(*full), ALL, NOW_MS)
    with pytest.raises(InvalidRequest, match="64 patterns in all"):
        made().mint(wanted(*full, Grant(scope="publish", topics=("a",))), ALL, NOW_MS)


@pytest.mark.parametrize("subject", ["", "a\nb", "\ud800", "a" * 256, "\0"])
def test_a_subject_that_cannot_stand_in_a_log_is_not_taken(subject):
    with pytest.raises(InvalidRequest) as refused:
        made().mint(wanted(subject=subject), ALL, NOW_MS)
    assert refused.value.field == "subject"


def test_what_is_in_memory_shows_no_token():
    tokens = made()
    token, claims = tokens.mint(wanted(), ALL, NOW_MS)
    tokens.verify(token, NOW_MS, everything)
    signature = token.rpartition(".")[2]
    assert signature not in repr(tokens) + repr(vars(tokens)) + repr(claims)
    assert signature.encode() not in msgspec.json.encode(claims)
