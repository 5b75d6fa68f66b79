"""Settings for several nodes that do not go together: refused, or said in the log."""

import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.settings.together import is_unreachable

SECRET = "a-secret-of-the-nodes"
SQLITE = {"DATABASE_URL": "sqlite:///x.db"}
POSTGRES = {"DATABASE_URL": "postgresql://h/conduit"}
REDIS = {"REDIS_URL": "redis://h:6379"}
NODES = {"INTERNAL_SECRET": SECRET}
PROVIDER = {
    "CONDUIT_JWKS_URL": "https://id.example/jwks",
    "CONDUIT_JWT_ISSUER": "https://id.example/",
    "CONDUIT_JWT_AUDIENCE": "conduit",
}
# What the seed's compose file sets.
SEED = {**REDIS, **NODES, "NODE_ID": "server-1", "NODE_ADDR": "server-1:8080"}


def problems(**environ):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    return caught.value.problems


@pytest.mark.parametrize("more", [{}, POSTGRES], ids=["memory", "postgresql"])
def test_what_the_seed_has_set_is_taken_and_needs_no_word(more):
    settings = load_settings(SEED | more)
    assert settings.warnings == ()
    assert settings.meets_in_redis is not bool(more)


def test_redis_beside_sqlite_is_refused_with_what_to_do():
    (sentence,) = problems(**SQLITE, **SEED)
    assert sentence.startswith("REDIS_URL is for several nodes, and a SQLite file is one server's")
    assert "DATABASE_URL to PostgreSQL" in sentence
    assert "unset REDIS_URL" in sentence


@pytest.mark.parametrize(
    "secret",
    ["x" * 15, f"{SECRET} short", f"short {SECRET}", "  ", "é" * 16, "x" * 15 + "\x01", "\t\n"],
)
def test_secrets_of_nodes_that_could_be_guessed_or_not_be_sent_are_refused(secret):
    (sentence,) = problems(INTERNAL_SECRET=secret)
    assert sentence.startswith("INTERNAL_SECRET must ")
    assert SECRET not in sentence
    assert "short" not in sentence


def test_of_several_secrets_the_wrong_one_is_named_by_its_place():
    (sentence,) = problems(INTERNAL_SECRET=f"{SECRET} x")
    assert "16 characters or more" in sentence
    assert "number 2 of its secrets has not" in sentence
    both = load_settings({"INTERNAL_SECRET": f" {SECRET}  another-secret-of-nodes ", **REDIS})
    assert both.internal_secrets == (SECRET, "another-secret-of-nodes")


def test_there_are_not_more_secrets_than_a_change_needs():
    many = " ".join(f"{SECRET}-{n}" for n in range(9))
    (sentence,) = problems(INTERNAL_SECRET=many)
    assert "up to 8" in sentence


def test_everything_that_is_wrong_is_told_at_once():
    found = problems(
        **SQLITE,
        REDIS_URL="http://x",
        INTERNAL_SECRET="short",
        NODE_ADDR="nowhere",
        NODE_ID="two words",
        PORT="x",
    )
    assert sorted(sentence.split()[0] for sentence in found) == [
        "INTERNAL_SECRET",
        "NODE_ADDR",
        "NODE_ID",
        "PORT",
        "REDIS_URL",
        "REDIS_URL",
    ]
    assert all(sentence.endswith(".") for sentence in found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SQLITE | NODES, ["INTERNAL_SECRET has no effect: a SQLite file"]),
        (NODES, ["INTERNAL_SECRET has no effect: nodes without a database find"]),
        (REDIS, ["REDIS_URL has no effect"]),
        (REDIS | POSTGRES, ["REDIS_URL has no effect"]),
        (POSTGRES | NODES, []),
        ({"NODE_ADDR": "h:1"}, ["NODE_ADDR is shown in the list of nodes"]),
        (POSTGRES | {"NODE_ADDR": "h:1"}, ["NODE_ADDR is shown in the list of nodes"]),
        ({"NODE_ID": "a"}, []),
        (SEED | {"ENABLE_AUTH": "true"}, ["ENABLE_AUTH without a database: each node knows only"]),
        (SEED | {"ENABLE_AUTH": "true"} | PROVIDER, []),
        (
            SEED | {"ENABLE_AUTH": "true", "DEFAULT_API_KEY": SECRET},
            ["INTERNAL_SECRET is DEFAULT_API_KEY"],
        ),
        (SEED | {"ENABLE_AUTH": "true", "DEFAULT_API_KEY": "another-secret-of-nodes"}, []),
        (SEED | POSTGRES | {"ENABLE_AUTH": "true"}, []),
        (
            SEED | {"CONDUIT_HOST": "127.0.0.1"},
            ["CONDUIT_HOST is an address that only this machine reaches, and NODE_ADDR names"],
        ),
        (SEED | {"CONDUIT_HOST": "127.0.0.1", "NODE_ADDR": "127.0.0.1:1"}, []),
        (
            NODES | POSTGRES | {"CONDUIT_HOST": "127.0.0.1"},
            ["CONDUIT_HOST is an address that only this machine reaches, and NODE_ADDR is not set"],
        ),
        ({"CONDUIT_HOST": "127.0.0.1"}, []),
    ],
)
def test_what_is_harmless_is_said_in_the_log(given, said):
    warnings = load_settings(given).warnings
    assert len(warnings) == len(said)
    for sentence, begin in zip(warnings, said, strict=True):
        assert sentence.startswith(begin)
        assert SECRET not in sentence


@pytest.mark.parametrize(
    ("host", "node_addr", "is_it"),
    [
        ("127.0.0.1", None, True),
        ("::1", "h:8080", True),
        ("::1", "[::1]:8080", False),
        ("localhost", "127.0.0.1:80", False),
        ("0.0.0.0", None, False),
        ("10.0.0.1", "127.0.0.1:80", False),
    ],
)
def test_who_listens_on_this_machine_alone_is_reached_from_there_alone(host, node_addr, is_it):
    assert is_unreachable(host, node_addr) is is_it
