import logging
import re
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from conduit.core.access import TenantRecord
from conduit.errors import Unauthenticated, Unavailable
from conduit.grants import Grant
from conduit.tenancy.claims import Claims
from conduit.tenancy.keyring import Keyring
from conduit.tenancy.provider_tokens import ProviderTokens
from tests.tenancy.kit import (
    NOW_MS,
    NOW_S,
    HandClock,
    described,
    fact,
    identity_provider,
    public,
    refuses,
)
from tests.tenancy.provider import RSA, bearer, claims, verifier


async def test_each_pinned_algorithm_is_taken_as_others_sign_it():
    ec = ECKey.generate_key("P-256", parameters={"kid": "ec"})
    ed = OKPKey.generate_key("Ed25519", parameters={"kid": "ed"})
    async with identity_provider() as provider:
        provider.publish(RSA, ec, ed)
        keyring = Keyring(described(provider))
        keyring.start()
        await keyring.tried()
        tokens = ProviderTokens(described(provider), keyring)
        for key, algorithm in ((RSA, "RS256"), (ec, "ES256")):
            token = jwt.encode({"alg": algorithm, "kid": key.kid}, claims(), key)
            assert tokens.verify(token, NOW_MS).tenant == "acme"
        assert tokens.verify(bearer(ed, alg="EdDSA"), NOW_MS).tenant == "acme"
        await keyring.close()


def test_what_it_says_is_what_counts():
    tokens = verifier()
    scopes = [
        {"scope": "publish", "topics": ["a.*"]},
        {"scope": "subscribe", "subscriptions": ["web.1"]},
        {"scope": "subscribe"},
    ]
    said = claims(
        sub="jörg", jti="7", exp=NOW_S + 60, conduit_scopes=scopes, other={"a": [1, None]}
    )
    told = tokens.verify(bearer(RSA, said), NOW_MS)
    assert told == Claims(
        tenant="acme",
        grants=(
            Grant(scope="publish", topics=("a.*",)),
            Grant(scope="subscribe", subscriptions=("web.1",)),
            Grant(scope="subscribe", subscriptions=()),
        ),
        expires_at_ms=NOW_MS + 60_000,
        key_id=None,
        token_id="7",
        subject="jörg",
        issued_at_ms=told.issued_at_ms,
    )
    assert told.actor == "token:jörg"
    assert verifier().verify(bearer(RSA, claims(jti="7")), NOW_MS).actor == "token:7"
    assert verifier().verify(bearer(RSA, claims()), NOW_MS).actor == "token:unnamed"


def test_claims_may_have_the_names_that_are_set():
    tokens = verifier(tenant_claim="https://x/tenant", scopes_claim="https://x/scopes")
    said = {
        "https://x/tenant": "acme",
        "https://x/scopes": [{"scope": "publish"}],
        "conduit_tenant": "other",
    }
    assert tokens.verify(bearer(RSA, claims(**said)), NOW_MS).tenant == "acme"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_token_may_say_that_it_is_one_for_access(kind):
    assert verifier().verify(bearer(RSA, typ=kind), NOW_MS)


def test_the_audience_may_be_one_of_several():
    assert verifier().verify(bearer(RSA, claims(aud=["other", "conduit-api"])), NOW_MS)


def test_a_clock_that_is_half_a_minute_late_is_no_reason_to_refuse_and_exp_is_exact():
    said = claims(iat=NOW_S + 30, nbf=NOW_S + 30, exp=NOW_S + 60)
    assert verifier().verify(bearer(RSA, said), NOW_MS)
    for late in (claims(iat=NOW_S + 30.1), claims(nbf=NOW_S + 30.1)):
        token = bearer(RSA, late)
        refuses(lambda token=token: verifier().verify(token, NOW_MS), token)
    tokens, token = verifier(), bearer(RSA, said)
    assert tokens.verify(token, NOW_MS + 59_999)
    for each in (tokens, verifier()):
        refuses(lambda each=each: each.verify(token, NOW_MS + 60_000), token)


def test_what_is_not_looked_at_in_a_header_is_no_reason_to_refuse():
    more = {"x5t": "x", "x5c": ["x"], "cat": "y", "nonce": 1, "jwk": "?", "jku": 5, "x5u": None}
    assert verifier().verify(bearer(RSA, **more), NOW_MS)


def test_each_byte_of_a_token_counts():
    tokens = verifier()
    token = bearer(RSA)
    assert tokens.verify(token, NOW_MS)
    for at, char in enumerate(token):
        for other in "AQgwz9-_.= é":
            changed = token[:at] + other + token[at + 1 :]
            if other != char:
                with pytest.raises((Unauthenticated, Unavailable)):
                    tokens.verify(changed, NOW_MS)


@given(st.data())
def test_a_token_that_was_cut_or_mixed_up_is_refused(data):
    token = bearer(RSA)
    begin = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(begin, len(token)))
    changed = token[:begin] + data.draw(st.text(max_size=8)) + token[end:]
    if changed != token:
        with pytest.raises((Unauthenticated, Unavailable)):
            verifier().verify(changed, NOW_MS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "conduit_tenant", "conduit_scopes"]


@given(st.sampled_from(NAMES), json_values)
def test_whatever_a_claim_is_it_is_taken_or_refused_and_nothing_else(name, value):
    try:
        told = verifier().verify(bearer(RSA, claims(**{name: value})), NOW_MS)
    except Unauthenticated:
        return
    assert told.tenant
    assert all(grant.scope != "admin" for grant in told.grants)


@given(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip"]), json_values)
def test_whatever_a_header_is_it_is_taken_or_refused_and_nothing_else(name, value):
    try:
        assert verifier().verify(bearer(RSA, **{name: value}), NOW_MS)
    except (Unauthenticated, Unavailable):
        return


@asynccontextmanager
async def running(clock):
    async with identity_provider() as provider:
        provider.publish(RSA)
        keyring = Keyring(described(provider), clock=clock)
        keyring.start()
        await keyring.tried()
        yield provider, keyring, ProviderTokens(described(provider), keyring)
        await keyring.close()


async def test_a_token_of_a_new_key_is_put_off_until_the_keys_are_there():
    clock = HandClock()
    new = RSAKey.generate_key(2_048, parameters={"kid": "new"})
    async with running(clock) as (provider, keyring, tokens):
        token = bearer(new)
        refuses(lambda: tokens.verify(token, NOW_MS), token)
        provider.publish(RSA, new)
        clock.now_s += 10
        with pytest.raises(Unavailable) as raised:
            tokens.verify(token, NOW_MS)
        assert raised.value.retry_after_s == 1
        await fact(lambda: keyring.count == 2)
        assert tokens.verify(token, NOW_MS)


async def test_a_token_that_was_good_is_refused_once_its_key_is_gone():
    clock = HandClock()
    other = RSAKey.generate_key(2_048, parameters={"kid": "other"})
    async with running(clock) as (provider, keyring, tokens):
        token = bearer(RSA)
        assert tokens.verify(token, NOW_MS)
        assert len(tokens._remembered) == 1
        provider.publish(other)
        clock.now_s += 10
        unknown = bearer(RSA, kid="?")
        with pytest.raises(Unavailable):
            tokens.verify(unknown, NOW_MS)
        await fact(lambda: keyring._current().has("other"))
        refuses(lambda: tokens.verify(token, NOW_MS), token)


async def test_a_token_that_was_good_is_refused_once_another_key_has_its_keys_id():
    clock = HandClock()
    async with running(clock) as (provider, keyring, tokens):
        token = bearer(RSA)
        generation = keyring.generation
        assert tokens.verify(token, NOW_MS)
        provider.publish(RSAKey.generate_key(2_048, parameters={"kid": RSA.kid}))
        clock.now_s += 10
        with pytest.raises(Unavailable):
            tokens.verify(bearer(RSA, kid="?"), NOW_MS)
        await fact(lambda: keyring.generation != generation)
        refuses(lambda: tokens.verify(token, NOW_MS), token)


async def test_a_token_that_was_good_counts_no_more_when_the_keys_are_too_old():
    clock = HandClock()
    async with running(clock) as (_, _keyring, tokens):
        token = bearer(RSA)
        assert tokens.verify(token, NOW_MS)
        clock.now_s += 86_401
        with pytest.raises(Unavailable):
            tokens.verify(token, NOW_MS)


async def test_nobody_is_asked_for_a_key_that_a_token_brings_or_points_to():
    clock = HandClock()
    async with running(clock) as (provider, _, tokens), identity_provider() as stranger:
        evil = RSAKey.generate_key(2_048, parameters={"kid": RSA.kid})
        stranger.publish(evil)
        url = f"http://127.0.0.1:{stranger.port}/"
        for more in ({"jwk": public(evil)}, {"jku": url}, {"x5u": url}):
            token = bearer(evil, **more)
            refuses(lambda token=token: tokens.verify(token, NOW_MS), token)
        assert stranger.asked == []
        assert len(provider.asked) == 1


def test_why_tokens_are_refused_is_told_seldom_and_without_the_token(caplog):
    caplog.set_level(logging.INFO)
    tokens = verifier()
    token = bearer(RSA, claims(aud="s3cr3t"))
    for at in range(120):
        refuses(lambda at=at: tokens.verify(token, NOW_MS + at * 1_000), token)
    refuses(lambda: tokens.verify("x", NOW_MS), "x")
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        "tokens of the identity provider refused: 1: aud has no CONDUIT_JWT_AUDIENCE",
        "tokens of the identity provider refused: 60: aud has no CONDUIT_JWT_AUDIENCE",
    ]
    assert "refused: 1: no JWT in its compact form" in caplog.text


def test_every_reason_has_words():
    import inspect

    from conduit.tenancy import compact, keyring, provider_tokens

    # That it is one of this server's is seen elsewhere.
    raised = {"unknown_tenant"}
    for module in (compact, keyring, provider_tokens):
        raised |= set(re.findall(r'Refused\("(\w+)"\)', inspect.getsource(module)))
    assert raised == set(provider_tokens._REASONS)


def test_a_token_of_before_its_tenant_was_made_is_for_an_earlier_one_of_that_name():
    told = verifier().verify(bearer(RSA, claims(iat=NOW_S)), NOW_MS)
    assert told.issued_at_ms == NOW_S * 1_000
    for made_at_ms, is_for in ((0, True), (NOW_S * 1_000, True), (NOW_S * 1_000 + 31_000, False)):
        assert told.is_for(TenantRecord(name="acme", created_at_ms=made_at_ms)) is is_for
    unsaid = {name: value for name, value in claims().items() if name != "iat"}
    late = TenantRecord(name="acme", created_at_ms=NOW_MS + 10**9)
    assert verifier().verify(bearer(RSA, unsaid), NOW_MS).is_for(late)
