import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.identity_provider import ALGORITHMS, algorithms, check_claim_name, check_url

URL = "https://id.example/.well-known/jwks.json"
GIVEN = {
    "CONDUIT_JWKS_URL": URL,
    "CONDUIT_JWT_ISSUER": "https://id.example/",
    "CONDUIT_JWT_AUDIENCE": "conduit",
}


def problems(**changes):
    with pytest.raises(ConfigError) as caught:
        load_settings(GIVEN | changes)
    return caught.value.problems


def test_without_an_address_there_is_no_provider():
    assert load_settings({}).identity_provider is None


def test_what_is_set_is_what_counts():
    found = load_settings(
        GIVEN | {"CONDUIT_JWT_ALGORITHMS": " ES384, RS256,ES384", "CONDUIT_JWKS_MAX_AGE_S": "600"}
    ).identity_provider
    assert found.jwks_url == URL
    assert (found.issuer, found.audience) == ("https://id.example/", "conduit")
    assert found.algorithms == ("ES384", "RS256")
    assert (found.tenant_claim, found.scopes_claim) == ("conduit_tenant", "conduit_scopes")
    assert found.max_age_s == 600


@pytest.mark.parametrize("name", ["CONDUIT_JWT_ISSUER", "CONDUIT_JWT_AUDIENCE"])
def test_issuer_and_audience_are_required_with_an_address_and_nothing_without(name):
    (sentence,) = problems(**{name: ""})
    assert sentence.startswith(f"{name} must be set with CONDUIT_JWKS_URL")
    with pytest.raises(ConfigError) as caught:
        load_settings({name: "x"})
    assert caught.value.problems[0].startswith(f"{name} is set without CONDUIT_JWKS_URL")


def test_an_address_that_is_wrong_is_the_only_one_told_of():
    (sentence,) = problems(CONDUIT_JWKS_URL="http://s3cr3t.example/")
    assert sentence.startswith("CONDUIT_JWKS_URL must begin with https://")
    assert "s3cr3t" not in sentence


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://id.example:8443/keys?tenant=1",
        "https://[2001:db8::1]/",
        "http://localhost:9000/jwks",
        "http://127.0.0.1/jwks",
        "http://[::1]:9000/jwks",
    ],
)
def test_an_address_is_of_https_or_of_this_machine(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.example/jwks",
        "http://127.0.0.1.example/jwks",
        "HTTP://id.example/jwks",
        "ftp://id.example/jwks",
        "file:///etc/passwd",
        "//id.example/jwks",
        "id.example/jwks",
        "https://",
        "https:///jwks",
        "https://user@id.example/jwks",
        "https://:password@id.example/jwks",
        "http://localhost@id.example/jwks",
        "https://id.example/jwks#keys",
        "https://id.example:port/jwks",
        "https://id.example:99999/jwks",
        "https://[::1/jwks",
        "https://id.example/a b",
        "https://id.example/\njwks",
        "https://id\u2024example/jwks",
        "https://id.example/" + "a" * 2_048,
    ],
)
def test_no_other_address_is_taken(url):
    with pytest.raises(ValueError, match=r"^must "):
        check_url(url)


@pytest.mark.parametrize(
    "text", ["", ",", "none", "HS256", "RS256,HS512", "rs256", "RS256 ES256", "ES256K", "RSA-OAEP"]
)
def test_no_algorithm_with_a_shared_secret_or_without_a_signature_can_be_pinned(text):
    with pytest.raises(ValueError, match="one or more of RS256"):
        algorithms(text)
    if text:
        (sentence,) = problems(CONDUIT_JWT_ALGORITHMS=text)
        assert sentence.startswith("CONDUIT_JWT_ALGORITHMS must be one or more of")


def test_every_algorithm_that_can_be_pinned_is_named_in_its_description():
    assert algorithms(",".join(ALGORITHMS)) == tuple(ALGORITHMS)
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name == "none"]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
def test_a_claim_has_a_name_that_can_be_printed(name):
    with pytest.raises(ValueError, match="printable"):
        check_claim_name(name)
    assert check_claim_name("https://conduit.example/tenant")
