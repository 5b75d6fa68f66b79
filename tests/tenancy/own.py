"""Tokens of ours, and forgeries of them that only who has the secret can make."""

import hmac
import json

from conduit.grants import Grant
from conduit.tenancy.tokens import Tokens, Wanted
from tests.tenancy.kit import NOW_S, by_secret, signed

PEPPER = b"pepper of the tests, 32 bytes or"
SECRET = hmac.digest(PEPPER, b"conduit tokens, version 1", "sha256")
DAY_S = 86_400
ALL = (Grant(scope="publish"), Grant(scope="subscribe"), Grant(scope="manage"))
HEADER = b'{"alg":"HS256","typ":"conduit+jwt"}'


def made(max_ttl_s=DAY_S):
    return Tokens(PEPPER, max_ttl_s)


def wanted(*scopes, **more):
    given = scopes or (Grant(scope="publish", topics=("a.*",)),)
    return Wanted(**{"tenant": "acme", "key_id": "AbCd1234", "grants": given} | more)


def everything(key_id, tenant):
    return ALL if (key_id, tenant) == ("AbCd1234", "acme") else None


def payload(**changes):
    """What a token says, as `mint` writes it, but for the changes; None leaves out."""
    said = {
        "iss": "conduit",
        "aud": "conduit",
        "iat": int(NOW_S),
        "exp": int(NOW_S) + 60,
        "jti": "0123456789abcdef",
        "key": "AbCd1234",
        "tenant": "acme",
        "since": 0,
        "scopes": [{"scope": "publish", "topics": ["a.*"]}],
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


def compact(said):
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def forged(text=None, header=HEADER, secret=SECRET):
    """A token that only who has the secret can make."""
    return signed(header, compact(payload()) if text is None else text, by_secret(secret))
