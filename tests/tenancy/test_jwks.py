import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from conduit.identity_provider import ALGORITHMS
from conduit.tenancy.jwks import JWKS_KEYS_MAX_COUNT, BadJwks, read_jwks
from tests.tenancy.kit import public

PINNED = ("RS256", "ES256", "EdDSA")
RSA = public(RSAKey.generate_key(2_048, parameters={"kid": "r"}))
EC = public(ECKey.generate_key("P-256", parameters={"kid": "e"}))
ED = public(OKPKey.generate_key("Ed25519", parameters={"kid": "o"}))


def read(*members, algorithms=PINNED):
    return read_jwks(json.dumps({"keys": members}).encode(), algorithms)


def without(jwk, *names):
    return {name: value for name, value in jwk.items() if name not in names}


def number(value):
    octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def test_keys_count_for_the_pinned_algorithms_that_they_are_for():
    jwks = read(RSA, EC, ED)
    assert set(jwks.keys) == {("r", "RS256"), ("e", "ES256"), ("o", "EdDSA")}
    assert jwks.count == 3
    assert jwks.left_out == {}
    assert jwks.has("r")
    assert not jwks.has("x")
    both = read(RSA, {**ED, "alg": "Ed25519"}, algorithms=("RS256", "PS256", "EdDSA", "Ed25519"))
    assert set(both.keys) == {("r", "RS256"), ("r", "PS256"), ("o", "Ed25519")}


def test_what_a_key_does_not_need_is_not_looked_at():
    more = {"x5c": ["?"], "x5u": 1, "x5t": [], "x5t#S256": {}, "ext": True, "key_ops": ["verify"]}
    assert read({**RSA, **more}).count == 1
    assert read(without(EC, "use")).count == 1


LEFT_OUT = {
    "text": ("RSA", "no object"),
    "for encryption": ({**RSA, "use": "enc"}, "not for signatures"),
    "for nothing": ({**RSA, "use": 1}, "not for signatures"),
    "for signing": ({**RSA, "key_ops": ["sign"]}, "not for signatures"),
    "operations are text": ({**RSA, "key_ops": "verify"}, "not for signatures"),
    "no id": (without(RSA, "kid"), "no id"),
    "an empty id": ({**RSA, "kid": ""}, "no id"),
    "a long id": ({**RSA, "kid": "k" * 256}, "no id"),
    "an id that is a number": ({**RSA, "kid": 1}, "no id"),
    "another algorithm": ({**RSA, "alg": "RS384"}, "no pinned algorithm"),
    "an algorithm for others": ({**RSA, "alg": "ES256"}, "no pinned algorithm"),
    "one with a secret": ({**RSA, "alg": "HS256"}, "no pinned algorithm"),
    "no algorithm": ({**RSA, "alg": "none"}, "no pinned algorithm"),
    "algorithms": ({**RSA, "alg": ["RS256"]}, "no pinned algorithm"),
    "a secret": (
        {**OctKey.generate_key(256).as_dict(), "kid": "s", "alg": "HS256"},
        "no pinned algorithm",
    ),
    "no kind": (without(RSA, "kty"), "no pinned algorithm"),
    "a kind that is a list": ({**RSA, "kty": ["RSA"]}, "no pinned algorithm"),
    "another curve": (
        public(ECKey.generate_key("P-384", parameters={"kid": "k"})),
        "no pinned algorithm",
    ),
    "a curve of no signatures": (
        public(OKPKey.generate_key("X25519", parameters={"kid": "k"})),
        "no pinned algorithm",
    ),
    "Ed448": (public(OKPKey.generate_key("Ed448", parameters={"kid": "k"})), "no pinned algorithm"),
    "a private key": (
        {**ECKey.generate_key("P-256").as_dict(private=True), "kid": "p"},
        "private",
    ),
    "RSA without e": (without(RSA, "e"), "not whole, or too small or large"),
    "RSA with a number": ({**RSA, "e": 65_537}, "not whole, or too small or large"),
    "RSA with no base64": ({**RSA, "n": "+/="}, "not whole, or too small or large"),
    "RSA with e of 1": ({**RSA, "e": "AQ"}, "not whole, or too small or large"),
    "RSA with a large e": ({**RSA, "e": number((1 << 90) + 1)}, "not whole, or too small or large"),
    "small RSA": ({**RSA, "n": number((1 << 1023) + 1)}, "not whole, or too small or large"),
    "large RSA": ({**RSA, "n": number((1 << 8199) + 1)}, "not whole, or too small or large"),
    "a point off the curve": ({**EC, "x": number(5)}, "not whole, or too small or large"),
    "no point": ({**EC, "x": ""}, "not whole, or too small or large"),
    "a short Ed25519": ({**ED, "x": "AAAA"}, "not whole, or too small or large"),
    "an accent": ({**ED, "x": "é" * 43}, "not whole, or too small or large"),
}


@pytest.mark.parametrize(("jwk", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_other_keys_are_left_out_and_the_rest_counts(jwk, reason):
    jwks = read(jwk, {**EC, "kid": "whole"})
    assert set(jwks.keys) == {("whole", "ES256")}
    assert jwks.left_out == {reason: 1}


def test_of_two_keys_with_one_id_the_first_counts():
    jwks = read({**RSA, "kid": "k"}, {**EC, "kid": "k"})
    assert set(jwks.keys) == {("k", "RS256")}
    assert jwks.left_out == {"id is there already": 1}


def test_the_digest_is_another_one_with_other_keys():
    assert read(RSA).digest == read(RSA).digest
    assert read(RSA).digest != read(EC).digest


def test_no_key_is_no_fault_of_the_document():
    assert read().count == 0


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"keys": [], "keys": []}', "not a JSON object"),
        (b'{"keys": [' + b"[" * 100_000, "not a JSON object"),
        (b'{"keys": [NaN]}', "not a JSON object"),
        ('{"keys": []}'.encode("utf-16"), "not a JSON object"),
        (b"{}", "no list of keys"),
        (b'{"keys": {}}', "no list of keys"),
        (b'{"keys": [' + b"{}," * JWKS_KEYS_MAX_COUNT + b"{}]}", "more than 100 keys"),
    ],
)
def test_a_document_that_is_no_list_of_keys_is_refused(document, why):
    with pytest.raises(BadJwks, match=why):
        read_jwks(document, PINNED)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from([RSA, EC, ED]), st.sampled_from(sorted({*RSA, *EC, "d", "alg"})), odd)
def test_whatever_stands_in_a_key_nothing_but_a_key_comes_out(jwk, name, value):
    jwks = read({**jwk, name: value}, algorithms=tuple(ALGORITHMS))
    assert jwks.count + sum(jwks.left_out.values()) == 1
