"""What an identity provider's tokens must not be, signed with its key or not."""

import json

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from conduit.errors import Unavailable
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from tests.tenancy.kit import NOW_MS, NOW_S, by_key, by_secret, encoded, public, refuses, signed
from tests.tenancy.provider import RSA, bearer, claims, verifier

EVIL = RSAKey.generate_key(2_048, parameters={"kid": "rsa"})
EC = ECKey.generate_key("P-256", parameters={"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", parameters={"kid": "ed"})
PEM = RSA.as_pem(private=False)
KEYS = (RSA, EC, ED)


def refuse(token, **changes):
    tokens = verifier(*KEYS, **changes)
    for _ in range(2):
        refuses(lambda: tokens.verify(token, NOW_MS), token)


def test_the_forgeries_below_are_refused_for_what_they_are_about():
    assert verifier(*KEYS).verify(bearer(RSA), NOW_MS)
    assert verifier(*KEYS).verify(bearer(EC, alg="ES256"), NOW_MS)


def by(algorithm, secret):
    """A header that names the algorithm, and what is signed with a secret."""
    header = {"alg": algorithm, "kid": "rsa"}
    return signed(header, claims(), by_secret(secret, f"sha{algorithm[-3:]}"))


SIGNATURES = {
    "none": signed({"alg": "none", "kid": "rsa"}, claims(), lambda _: b"x"),
    "none, and no signature": signed({"alg": "none", "kid": "rsa"}, claims(), lambda _: b""),
    "None": signed({"alg": "None", "kid": "rsa"}, claims(), lambda _: b"x"),
    "the public key as a secret": by("HS256", PEM),
    "the public key as a secret, longer": by("HS512", PEM),
    "the modulus as a secret": by("HS256", RSA.as_dict()["n"].encode()),
    "an empty secret": by("HS256", b""),
    "another key": bearer(EVIL),
    "another key that it brings": bearer(EVIL, jwk=public(EVIL)),
    "a secret that it brings": bearer(
        RSA, alg="HS256", jwk=OctKey.generate_key(256).as_dict(), typ="JWT"
    ),
    "an algorithm that is not pinned": signed(
        {"alg": "RS512", "kid": "rsa"}, claims(), by_key("RS512", RSA)
    ),
    "the padding of another algorithm": signed(
        {"alg": "RS256", "kid": "rsa"}, claims(), by_key("PS256", RSA)
    ),
    "the algorithm of another key": bearer(RSA, alg="ES256"),
    "the key of another algorithm": bearer(RSA, kid="ec"),
    "another name of the algorithm": signed(
        {"alg": "Ed25519", "kid": "ed"}, claims(), by_key("Ed25519", ED)
    ),
    "an empty point": signed({"alg": "ES256", "kid": "ec"}, claims(), lambda _: bytes(64)),
    "a signature in DER": signed(
        {"alg": "ES256", "kid": "ec"}, claims(), lambda text: b"\x30\x44" + bytes(68)
    ),
    "zeros": signed({"alg": "EdDSA", "kid": "ed"}, claims(), lambda _: bytes(64)),
    "a short signature": bearer(RSA)[:-8],
    "a longer signature": bearer(RSA) + "AAAA",
    "the signature of another": ".".join(
        [*bearer(RSA, claims(sub="other")).split(".")[:2], bearer(RSA).split(".")[2]]
    ),
}


@pytest.mark.parametrize("token", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_of_somebody_else_is_refused(token):
    refuse(token)


HEADERS = {
    "an object in which alg is there twice": b'{"alg":"none","alg":"RS256","kid":"rsa"}',
    "an object in which kid is there twice": b'{"alg":"RS256","kid":"x","kid":"rsa"}',
    "two objects": b'{"alg":"RS256","kid":"rsa"}{}',
    "no object": b'["RS256","rsa"]',
    "null": b"null",
    "no UTF-8": b'{"alg":"RS256","kid":"rsa","x":"\xff"}',
    "UTF-16": '{"alg":"RS256","kid":"rsa"}'.encode("utf-16"),
    "a mark before": b'\xef\xbb\xbf{"alg":"RS256","kid":"rsa"}',
    "deep": b'{"alg":"RS256","kid":"rsa","x":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    "not closed": b'{"alg":"RS256","kid":"rsa","x":' + b"[" * 2_000,
    "a number that is none": b'{"alg":"RS256","kid":"rsa","x":NaN}',
    "a number that is huge": b'{"alg":"RS256","kid":"rsa","x":1e999}',
    "digits without end": b'{"alg":"RS256","kid":"rsa","x":' + b"9" * 5_000 + b"}",
    "half a character": b'{"alg":"RS256","kid":"rsa","x":"\\ud800"}',
    "no alg": b'{"kid":"rsa"}',
    "alg in small letters": b'{"alg":"rs256","kid":"rsa"}',
    "alg with NUL": b'{"alg":"RS256\\u0000","kid":"rsa"}',
    "a list of algorithms": b'{"alg":["RS256"],"kid":"rsa"}',
    "an object of algorithms": b'{"alg":{"RS256":1},"kid":"rsa"}',
    "no kid": b'{"alg":"RS256"}',
    "an empty kid": b'{"alg":"RS256","kid":""}',
    "kid is null": b'{"alg":"RS256","kid":null}',
    "kid is a number": b'{"alg":"RS256","kid":0}',
    "kid is a list": b'{"alg":"RS256","kid":["rsa"]}',
    "kid is long": json.dumps({"alg": "RS256", "kid": "k" * 256}).encode(),
    "crit with nothing": b'{"alg":"RS256","kid":"rsa","crit":[]}',
    "crit with what is known": b'{"alg":"RS256","kid":"rsa","crit":["kid"]}',
    "crit with what is not": b'{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}',
    "crit is null": b'{"alg":"RS256","kid":"rsa","crit":null}',
    "b64": b'{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}',
    "b64 without crit": b'{"alg":"RS256","kid":"rsa","b64":false}',
    "b64 is true": b'{"alg":"RS256","kid":"rsa","b64":true}',
    "the type of ours": b'{"alg":"RS256","kid":"rsa","typ":"conduit+jwt"}',
    "the type of an event": b'{"alg":"RS256","kid":"rsa","typ":"secevent+jwt"}',
    "the type of a logout": b'{"alg":"RS256","kid":"rsa","typ":"logout+jwt"}',
    "typ is a list": b'{"alg":"RS256","kid":"rsa","typ":["JWT"]}',
    "typ is null": b'{"alg":"RS256","kid":"rsa","typ":null}',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_can_be_read_in_two_ways_or_says_something_else_is_refused(header):
    refuse(signed(header, claims(), by_key("RS256", RSA)))


KIDS = [
    "../../../dev/null",
    "rsa\0",
    "rsa ",
    "RSA",
    "' OR 1=1 --",
    "http://127.0.0.1/",
    "\u202ersa",
    "r%73a",
]


@pytest.mark.parametrize("key_id", KIDS)
def test_an_id_of_a_key_is_looked_for_as_it_is_and_nowhere_else(key_id):
    refuse(bearer(RSA, kid=key_id))


def text_with(name, value):
    """What counts, with this claim as it stands."""
    return json.dumps(claims(**{name: "XX"})).replace('"XX"', value).encode()


CLAIMS = {
    "exp twice": text_with("x", '1,"exp":9999999999'),
    "a name twice, deep inside": text_with("x", '[{"a":1,"a":2}]'),
    "no object": b"[]",
    "null": b"null",
    "text": b'"x"',
    "nothing": b" ",
    "no JSON": b"{",
    "no UTF-8": text_with("sub", '"\xff"').decode().encode("latin-1"),
    "UTF-16": json.dumps(claims()).encode("utf-16"),
    "a mark before": b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
    "something after": json.dumps(claims()).encode() + b"x",
    "deep": text_with("x", "[" * 2_000 + "]" * 2_000),
    "deeper than sixteen": text_with("x", "[" * 16 + "]" * 16),
    "not closed": b"[" * 5_000,
    "half a character": text_with("sub", '"\\ud800"'),
    "half a character, elsewhere": text_with("x", '["\\udfff"]'),
    "no exp": claims(exp=None),
    "exp is null": text_with("exp", "null"),
    "exp is true": claims(exp=True),
    "exp is text": claims(exp=str(int(NOW_S) + 60)),
    "exp is a list": claims(exp=[int(NOW_S) + 60]),
    "exp is no number": text_with("exp", "NaN"),
    "exp is without end": text_with("exp", "Infinity"),
    "exp is huge": text_with("exp", "1e308"),
    "exp is beyond numbers": text_with("exp", "1e999"),
    "exp has digits without end": text_with("exp", "9" * 5_000),
    "exp is in a year without a date": claims(exp=253_402_300_800),
    "exp is below 0": claims(exp=-1),
    "exp is now": claims(exp=NOW_S),
    "exp is in ms, as iat": claims(iat=NOW_MS),
    "nbf is true": claims(nbf=True),
    "nbf is text": claims(nbf="0"),
    "nbf is null": text_with("nbf", "null"),
    "nbf is below 0": claims(nbf=-1),
    "nbf is tomorrow": claims(nbf=NOW_S + 86_400),
    "iat is null": text_with("iat", "null"),
    "iat is an object": claims(iat={}),
    "no issuer": claims(iss=None),
    "another issuer": claims(iss="https://id.example"),
    "an issuer with more": claims(iss="https://id.example/evil"),
    "a list of issuers": claims(iss=["https://id.example/"]),
    "no audience": claims(aud=None),
    "another audience": claims(aud="conduit"),
    "an audience with more": claims(aud="conduit-api2"),
    "no audience in a list": claims(aud=[]),
    "a list with another": claims(aud=["conduit-api", 1]),
    "a list in a list": claims(aud=[["conduit-api"]]),
    "an object of audiences": claims(aud={"conduit-api": 1}),
    "no tenant": claims(conduit_tenant=None),
    "tenant is null": text_with("conduit_tenant", "null"),
    "an empty tenant": claims(conduit_tenant=""),
    "a tenant in capitals": claims(conduit_tenant="Acme"),
    "a tenant that goes up": claims(conduit_tenant="../acme"),
    "a tenant with NUL": claims(conduit_tenant="acme\0"),
    "a tenant with a line's end": claims(conduit_tenant="acme\n"),
    "a list of tenants": claims(conduit_tenant=["acme"]),
    "a number for a tenant": claims(conduit_tenant=1),
    "a long tenant": claims(conduit_tenant="a" * 64),
    "a tenant that looks the same": claims(conduit_tenant="\u0430cme"),
    "no scopes": claims(conduit_scopes=None),
    "scopes are null": text_with("conduit_scopes", "null"),
    "an empty list": claims(conduit_scopes=[]),
    "scopes are text": claims(conduit_scopes="publish"),
    "a list of text": claims(conduit_scopes=["publish"]),
    "one scope": claims(conduit_scopes={"scope": "publish"}),
    "admin": claims(conduit_scopes=[{"scope": "publish"}, {"scope": "admin"}]),
    "an unknown scope": claims(conduit_scopes=[{"scope": "root"}]),
    "a scope without one": claims(conduit_scopes=[{"topics": ["a"]}]),
    "a scope with more": claims(conduit_scopes=[{"scope": "publish", "tenants": ["a"]}]),
    "no patterns": claims(conduit_scopes=[{"scope": "publish", "topics": []}]),
    "a bad pattern": claims(conduit_scopes=[{"scope": "publish", "topics": ["a..b"]}]),
    "a pattern that is none": claims(conduit_scopes=[{"scope": "publish", "topics": [None]}]),
    "patterns are text": claims(conduit_scopes=[{"scope": "publish", "topics": "a"}]),
    "subscriptions to publish": claims(
        conduit_scopes=[{"scope": "publish", "subscriptions": ["a"]}]
    ),
    "too many patterns": claims(conduit_scopes=[{"scope": "publish", "topics": ["a"] * 22}] * 3),
    "too many scopes": claims(conduit_scopes=[{"scope": "publish"}] * 9),
    "a number for a subject": claims(sub=1),
    "a subject of two lines": claims(sub="a\nINFO all is well"),
    "an empty subject": claims(sub=""),
    "a long subject": claims(sub="a" * 256),
    "a list of ids": claims(jti=["a"]),
    "an id that clears the screen": claims(jti="\x1b[2J"),
}


@pytest.mark.parametrize("payload", CLAIMS.values(), ids=CLAIMS)
def test_what_is_not_for_us_or_cannot_be_used_is_refused_also_with_the_right_key(payload):
    refuse(bearer(RSA, payload))


FORMS = {
    "empty": "",
    "dots": "..",
    "many dots": "." * 100_000,
    "a word": "x",
    "no signature": bearer(RSA).rpartition(".")[0],
    "an empty signature": bearer(RSA).rpartition(".")[0] + ".",
    "five parts, as a JWE": f"{bearer(RSA)}.AAAA.AAAA",
    "four parts": f"{bearer(RSA)}.AAAA",
    "padding": f"{bearer(RSA)}==",
    "a line's end": f"{bearer(RSA)}\n",
    "a blank before": f" {bearer(RSA)}",
    "Bearer before": f"Bearer {bearer(RSA)}",
    "JSON": json.dumps({"protected": encoded({"alg": "RS256"}), "payload": "", "signature": ""}),
    "too long": bearer(RSA, claims(x="x" * CREDENTIAL_MAX_BYTES)),
    "half a character": f"\ud800.{bearer(RSA)}",
}


@pytest.mark.parametrize("token", FORMS.values(), ids=FORMS)
def test_another_form_is_refused(token):
    refuse(token)


def test_without_the_algorithm_of_a_key_its_tokens_are_refused():
    refuse(bearer(RSA), algorithms=("ES256",))
    assert verifier(*KEYS, algorithms=("ES256",)).verify(bearer(EC, alg="ES256"), NOW_MS)


def test_what_is_wrong_does_not_have_keys_fetched():
    tokens = verifier(*KEYS)
    # As if the last fetch were long ago.
    tokens._keyring._began_at = None
    wrong = [bearer(RSA, **{"kid": "new"} | more) for more in ({"alg": "HS256"}, {"crit": []})]
    for token in (bearer(RSA)[:-4] + "AAAA", *wrong, "x"):
        refuses(lambda token=token: tokens.verify(token, NOW_MS), token)
    with pytest.raises(Unavailable):
        tokens.verify(bearer(RSA, kid="new"), NOW_MS)
