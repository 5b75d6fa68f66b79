"""Tokens of an identity provider, right and wrong, and who checks them without a network."""

import json

from joserfc.jwk import RSAKey

from conduit.tenancy.jwks import read_jwks
from conduit.tenancy.keyring import Keyring
from conduit.tenancy.provider_tokens import ProviderTokens
from tests.tenancy.kit import NOW_S, HandClock, Provider, by_key, described, public, signed

RSA = RSAKey.generate_key(2_048, parameters={"kid": "rsa"})


def claims(**changes):
    """What counts, but for the changes; None leaves out."""
    said = {
        "iss": "https://id.example/",
        "aud": "conduit-api",
        "exp": int(NOW_S) + 600,
        "iat": int(NOW_S),
        "conduit_tenant": "acme",
        "conduit_scopes": [{"scope": "publish"}],
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


def bearer(key, payload=None, /, **header):
    """A token that this key has signed, whatever the header says of it."""
    header = {"alg": "RS256", "typ": "JWT", "kid": key.kid} | header
    algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[key.key_type]
    return signed(header, claims() if payload is None else payload, by_key(algorithm, key))


def verifier(*keys, **changes):
    """Who has these keys, or RSA, as if they were just fetched."""
    provider = described(Provider(), **changes)
    keyring = Keyring(provider, clock=HandClock())
    document = json.dumps({"keys": [public(key) for key in keys or (RSA,)]}).encode()
    keyring._began_at = keyring._clock()
    keyring._succeeded(read_jwks(document, provider.algorithms))
    return ProviderTokens(provider, keyring)
