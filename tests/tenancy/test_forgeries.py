"""What is no token of ours, although it looks like one."""

import json

import pytest

from conduit.grants import Grant
from conduit.tenancy.claims import CREDENTIAL_MAX_BYTES
from conduit.tenancy.tokens import Tokens
from tests.tenancy.kit import NOW_MS, NOW_S, encoded, refuses
from tests.tenancy.own import (
    ALL,
    DAY_S,
    HEADER,
    PEPPER,
    compact,
    everything,
    forged,
    made,
    payload,
)


def test_the_forgeries_below_are_refused_for_what_they_are_about():
    assert made().verify(forged(), NOW_MS, everything).token_id == "0123456789abcdef"


HEADERS = {
    "no algorithm": b'{"alg":"none","typ":"conduit+jwt"}',
    "no algorithm, in capitals": b'{"alg":"NONE","typ":"conduit+jwt"}',
    "another algorithm": b'{"alg":"HS512","typ":"conduit+jwt"}',
    "an algorithm with keys": b'{"alg":"RS256","typ":"conduit+jwt"}',
    "a list of algorithms": b'{"alg":["HS256"],"typ":"conduit+jwt"}',
    "two algorithms": b'{"alg":"none","alg":"HS256","typ":"conduit+jwt"}',
    "another type": b'{"alg":"HS256","typ":"JWT"}',
    "the type of RFC 9068": b'{"alg":"HS256","typ":"at+jwt"}',
    "no type": b'{"alg":"HS256"}',
    "another order": b'{"typ":"conduit+jwt","alg":"HS256"}',
    "blanks": b'{"alg": "HS256", "typ": "conduit+jwt"}',
    "a key id": b'{"alg":"HS256","typ":"conduit+jwt","kid":"../../dev/null"}',
    "a key": b'{"alg":"HS256","typ":"conduit+jwt","jwk":{"kty":"oct","k":"AA"}}',
    "an address of keys": b'{"alg":"HS256","typ":"conduit+jwt","jku":"http://127.0.0.1/"}',
    "what must be understood": b'{"alg":"HS256","typ":"conduit+jwt","crit":["exp"]}',
    "a payload as it is": b'{"alg":"HS256","typ":"conduit+jwt","b64":false,"crit":["b64"]}',
    "nothing": b"{}",
    "no object": b"[]",
    "no JSON": b"\xff\xfe",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_another_header_is_refused_also_with_the_right_secret(header):
    token = forged(header=header)
    assert not Tokens.is_own(token)
    refuses(lambda: made().verify(token, NOW_MS, everything), token)
    unsigned = token.rpartition(".")[0] + "."
    refuses(lambda: made().verify(unsigned, NOW_MS, everything), unsigned)


LONG = {"scope": "publish", "topics": [f"{at:0>200}" for at in range(32)]}
FORMS = {
    "empty": "",
    "dots": "..",
    "many dots": "." * 10_000,
    "no signature": forged().rpartition(".")[0],
    "an empty signature": forged().rpartition(".")[0] + ".",
    "five parts, as a JWE": f"{forged()}.AAAA.AAAA",
    "padding": f"{forged()}=",
    "a line's end": f"{forged()}\n",
    "a blank before": f" {forged()}",
    "the other base64": forged().replace("-", "+").replace("_", "/") + "+",
    "the signature of another secret": forged(secret=b"the-secret-of-somebody-else-0123"),
    "the pepper itself": forged(secret=PEPPER),
    "an empty secret": forged(secret=b""),
    "too long": f"{encoded(HEADER)}.{'A' * CREDENTIAL_MAX_BYTES}.AAAA",
    "too long, but else right": forged(compact(payload(scopes=[LONG, LONG]))),
    "JSON": json.dumps({"payload": encoded(compact(payload())), "signature": "AA"}),
    "half a character": f"{encoded(HEADER)}.\ud800.AAAA",
    "other digits": forged().replace("1", "١"),
}


@pytest.mark.parametrize("token", FORMS.values(), ids=FORMS)
def test_another_form_is_refused(token):
    refuses(lambda: made().verify(token, NOW_MS, everything), token)


def text_with(old, new):
    text = compact(payload())
    assert old in text
    return text.replace(old, new)


EXP = b'"exp":%d' % (int(NOW_S) + 60)
CLAIMS = {
    "exp twice": text_with(EXP, b'"exp":1,' + EXP),
    "scopes twice": compact(payload())[:-1] + b',"scopes":[{"scope":"manage"}]}',
    "exp is no number": text_with(EXP, b'"exp":NaN'),
    "exp is without end": text_with(EXP, b'"exp":Infinity'),
    "exp is true": compact(payload(exp=True)),
    "exp is null": text_with(EXP, b'"exp":null'),
    "exp is text": compact(payload(exp=str(int(NOW_S) + 60))),
    "exp has a fraction": compact(payload(exp=NOW_S + 60)),
    "exp has an exponent": text_with(EXP, b'"exp":2e9'),
    "exp is huge": text_with(EXP, b'"exp":' + b"9" * 5_000),
    "exp is large": compact(payload(exp=1 << 80)),
    "exp is below 0": compact(payload(exp=-1)),
    "exp is before iat": compact(payload(exp=int(NOW_S) - 10)),
    "no exp": compact(payload(exp=None)),
    "longer than a day": compact(payload(exp=int(NOW_S) + DAY_S + 2)),
    "made tomorrow": compact(payload(iat=int(NOW_S) + 31, exp=int(NOW_S) + 60)),
    "iat is below 0": compact(payload(iat=-(1 << 70))),
    "another issuer": compact(payload(iss="other")),
    "a list of issuers": compact(payload(iss=["conduit"])),
    "another audience": compact(payload(aud="other")),
    "a list of audiences": compact(payload(aud=["conduit"])),
    "one claim more": compact(payload(nbf=1)),
    "no tenant": compact(payload(tenant=None)),
    "a bad tenant": compact(payload(tenant="../acme")),
    "a tenant with NUL": compact(payload(tenant="acme\0")),
    "a list of tenants": compact(payload(tenant=["acme"])),
    "a number for a tenant": compact(payload(tenant=1)),
    "a bad key id": compact(payload(key="' OR 1=1")),
    "a bad token id": compact(payload(jti="x\n")),
    "admin": compact(payload(scopes=[{"scope": "admin"}])),
    "an unknown scope": compact(payload(scopes=[{"scope": "root"}])),
    "no scope": compact(payload(scopes=[])),
    "scopes are text": compact(payload(scopes="publish")),
    "a scope with more": compact(payload(scopes=[{"scope": "publish", "tenant": "x"}])),
    "no patterns": compact(payload(scopes=[{"scope": "publish", "topics": []}])),
    "a bad pattern": compact(payload(scopes=[{"scope": "publish", "topics": ["a..b"]}])),
    "too many patterns": compact(payload(scopes=[{"scope": "publish", "topics": ["a"] * 22}] * 3)),
    "topics of nothing": compact(payload(scopes=[{"scope": "publish", "topics": None}])),
    "an empty subject": compact(payload(sub="")),
    "a subject of two lines": compact(payload(sub="a\nb")),
    "a subject that turns around": compact(payload(sub="a\u202eb")),
    "a long subject": compact(payload(sub="a" * 256)),
    "half a character": compact(payload(sub="XX")).replace(b"XX", b"\\ud800"),
    "an escape": compact(payload(sub="XX")).replace(b"XX", b"\\u0041"),
    "blanks": json.dumps(payload()).encode(),
    "another order": compact(dict(reversed(payload().items()))),
    "a mark before": b"\xef\xbb\xbf" + compact(payload()),
    "UTF-16": compact(payload()).decode().encode("utf-16"),
    "no UTF-8": compact(payload(sub="XX")).replace(b"XX", b"\xc3\x28"),
    "deep": b"[" * 5_000,
    "deep in a claim": compact(payload())[:-1] + b',"x":' + b"[" * 5_000,
    "no object": b"[]",
    "null": b"null",
    "nothing": b" ",
    "something after": compact(payload()) + b"{}",
}


@pytest.mark.parametrize("text", CLAIMS.values(), ids=CLAIMS)
def test_what_a_token_may_not_say_is_refused_also_with_the_right_secret(text):
    token = forged(text)
    rights = (*ALL, Grant(scope="admin"))
    tokens = made()
    for _ in range(2):
        # Of whatever key and tenant.
        refuses(lambda: tokens.verify(token, NOW_MS, lambda *_: rights), token)
