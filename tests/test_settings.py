import re
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import ValidationError

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.settings import Settings

DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"
SECRET = "s3cr3t-value-0123"


def problems(**environ):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    return caught.value.problems


def test_an_empty_environment_gives_the_defaults_of_the_original_server():
    settings = load_settings({})
    assert settings.port == 8080
    assert settings.database_path is None
    assert settings.cors_origin == "*"
    assert settings.node_id
    assert settings.warnings == ()


def test_an_empty_value_counts_as_unset():
    environ = dict.fromkeys(("PORT", "DATABASE_URL", "REDIS_URL", "ENABLE_AUTH", "NODE_ADDR"), "")
    assert load_settings(environ) == load_settings({})


def test_variables_are_read_and_overrides_win():
    environ = {"PORT": "9000", "CONDUIT_LOG_LEVEL": "debug", "CONDUIT_AUTO_CREATE_TOPICS": "true"}
    settings = load_settings(environ, port="9001", host=None)
    assert (settings.port, settings.log_level, settings.auto_create_topics) == (9001, "debug", True)
    assert settings.host == "0.0.0.0"


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch):
    monkeypatch.setenv("NODE_ID", "from-the-process")
    assert load_settings().node_id == "from-the-process"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("*", "*"),
        ("null", "null"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://localhost:80", "http://localhost"),
        ("https://a.example:80", "https://a.example:80"),
        (
            "https://a.example, http://localhost:5173,https://A.example",
            "https://a.example,http://localhost:5173",
        ),
        ("chrome-extension://abcdef,null", "chrome-extension://abcdef,null"),
    ],
)
def test_origins_are_read_as_browsers_spell_them(given, read):
    assert load_settings({"CORS_ORIGIN": given}).cors_origin == read


@pytest.mark.parametrize(
    "given",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/x",
        "https://a.example,*",
        "https://a.example,",
        "https://*.example",
        "https://me@a.example",
        "https://bücher.example",
        "https://a.example https://b.example",
    ],
)
def test_what_is_no_origin_is_refused(given):
    (problem,) = problems(CORS_ORIGIN=given)
    assert "separated by commas" in problem


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load_settings({}).port = 1


def test_all_problems_are_reported_at_once_each_naming_its_variable():
    found = problems(
        PORT="eighty",
        CORS_ORIGIN="not an origin",
        NODE_ID="two words",
        CONDUIT_LOG_LEVEL="loud",
        CONDUIT_MAX_PAYLOAD_BYTES="0",
        CONDUIT_SLOW_TIMEOUT_S="nan",
        CONDUIT_RETENTION_MAX_AGE_S="0",
    )
    assert sorted(sentence.split()[0] for sentence in found) == [
        "CONDUIT_LOG_LEVEL",
        "CONDUIT_MAX_PAYLOAD_BYTES",
        "CONDUIT_RETENTION_MAX_AGE_S",
        "CONDUIT_SLOW_TIMEOUT_S",
        "CORS_ORIGIN",
        "NODE_ID",
        "PORT",
    ]
    assert all(sentence.endswith(".") for sentence in found)


@pytest.mark.parametrize(("text", "is_on"), [("false", False), ("true", True), ("1", True)])
def test_authentication_is_on_or_off(text, is_on):
    assert load_settings({"ENABLE_AUTH": text}).enable_auth is is_on


@pytest.mark.parametrize("name", ["DEFAULT_API_KEY", "CONDUIT_KEY_PEPPER"])
@pytest.mark.parametrize("value", ["x" * 15, "a text with blanks in it", "x" * 16 + "\t"])
def test_a_secret_that_could_be_guessed_or_sent_wrongly_is_refused(name, value):
    (sentence,) = problems(ENABLE_AUTH="true", **{name: value})
    assert sentence.startswith(f"{name} must have 16 characters or more")
    assert value not in sentence


def test_with_authentication_the_default_key_has_an_effect():
    environ = {"ENABLE_AUTH": "true", "DEFAULT_API_KEY": "x" * 16}
    assert load_settings(environ).warnings == ()


def test_the_operators_port_is_another_one():
    (sentence,) = problems(PORT="9000", CONDUIT_ADMIN_PORT="9000")
    assert sentence == "CONDUIT_ADMIN_PORT must be another than PORT."
    free = load_settings({"PORT": "0", "CONDUIT_ADMIN_PORT": "0"})
    assert (free.port, free.admin_port) == (0, 0)


def test_a_provider_of_whom_nobody_is_asked_for_a_token_is_warned_about():
    provider = {
        "CONDUIT_JWKS_URL": "https://id.example/jwks",
        "CONDUIT_JWT_ISSUER": "https://id.example/",
        "CONDUIT_JWT_AUDIENCE": "conduit",
    }
    (warning,) = load_settings(provider).warnings
    assert warning.startswith("CONDUIT_JWKS_URL has no effect")
    assert load_settings(provider | {"ENABLE_AUTH": "true"}).warnings == ()


def test_the_secret_of_nodes_has_an_effect_where_nodes_share_a_log():
    given = {"INTERNAL_SECRET": SECRET, "DATABASE_URL": "postgresql://localhost/conduit"}
    assert load_settings(given).warnings == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_API_KEY", SECRET),
        ("INTERNAL_SECRET", SECRET),
    ],
)
def test_what_has_no_effect_is_warned_about(name, value):
    (warning,) = load_settings({name: value}).warnings
    assert warning.startswith(f"{name} has no effect")
    assert value not in warning


@pytest.mark.parametrize("name", ["a/b", "/", ".", "..", "é", "x" * 256])
def test_a_node_that_could_not_be_asked_for_by_its_name_is_refused(name):
    (problem,) = problems(NODE_ID=name)
    assert problem.startswith("NODE_ID must be 1–255 printable ASCII characters without")


def test_whether_the_name_of_the_node_was_chosen_is_known():
    assert load_settings({"NODE_ID": "node-1"}).has_node_id
    assert not load_settings({"NODE_ID": ""}).has_node_id


def test_a_misspelled_variable_is_warned_about_with_the_likely_one():
    (warning,) = load_settings({"CONDUIT_MAX_PAYLAOD_BYTES": "5"}).warnings
    assert warning == (
        "CONDUIT_MAX_PAYLAOD_BYTES is not a setting; did you mean CONDUIT_MAX_PAYLOAD_BYTES?"
    )


def test_of_a_misspelled_name_with_a_prefix_too_many_the_right_one_is_told():
    (warning,) = load_settings({"CONDUIT_DATABSE_URL": "x"}).warnings
    assert warning == "CONDUIT_DATABSE_URL is not a setting; did you mean DATABASE_URL?"


def test_what_is_no_number_is_told_in_plain_words():
    assert problems(PORT="http", CONDUIT_KEEP_ALIVE_S="x", ENABLE_AUTH="perhaps") == (
        "PORT is 'http': it must be a whole number.",
        "ENABLE_AUTH is 'perhaps': it must be true or false.",
        "CONDUIT_KEEP_ALIVE_S is 'x': it must be a number of seconds.",
    )


def test_a_variable_like_none_of_ours_is_warned_about_without_a_guess():
    (warning,) = load_settings({"CONDUIT_XYZZY": "5"}).warnings
    assert warning == "CONDUIT_XYZZY is not a setting."


@pytest.mark.parametrize("name", ["DATABASE_URL", "PORT", "CORS_ORIGIN", "ENABLE_AUTH"])
def test_a_name_of_ours_with_a_prefix_that_it_does_not_have_is_refused(name):
    (sentence,) = problems(**{f"CONDUIT_{name}": SECRET})
    assert sentence == f"CONDUIT_{name} is not a setting: it is {name}."


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("CORS_ORIGINS", "CORS_ORIGIN"),
        ("CONDUT_LOG_LEVEL", "CONDUIT_LOG_LEVEL"),
    ],
)
def test_a_misspelled_name_without_our_prefix_is_warned_about_too(name, meant):
    assert load_settings({name: SECRET}).warnings == (
        f"{name} is not a setting; did you mean {meant}?",
    )


def test_a_name_that_is_nearly_ours_is_somebody_elses_where_ours_is_set():
    environ = {"DATABASE_URL": "sqlite:///x.db", "DATABASE_URI": "x", "SPORT": "1", "NODE_IP": "1"}
    assert load_settings(environ).warnings == ()


def test_variables_of_the_client_and_of_other_programs_are_not_warned_about():
    assert load_settings({"CONDUIT_URL": "http://x", "CONDUITS": "1", "PATH": "/"}).warnings == ()


def test_secrets_are_in_no_text():
    environ = {
        "DEFAULT_API_KEY": SECRET,
        "INTERNAL_SECRET": SECRET,
        "DATABASE_URL": f"sqlite:///{SECRET}.db",
    }
    settings = load_settings(environ)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_refused_url_is_not_repeated_because_it_may_hold_a_password(name):
    assert SECRET not in str(problems(**{name: f"scheme://user:{SECRET}@host/db"}))


def test_none_takes_a_bound_of_the_retention_away():
    assert load_settings({"CONDUIT_RETENTION_MAX_BYTES": "none"}).retention_max_bytes is None


def test_trusted_proxies_are_networks():
    (sentence,) = problems(CONDUIT_TRUSTED_PROXIES="10.0.0.0/8,proxy.example")
    assert "CONDUIT_TRUSTED_PROXIES" in sentence
    assert "'proxy.example'" in sentence
    assert load_settings({"CONDUIT_TRUSTED_PROXIES": "none"}).trusted_proxies == "none"
    (sentence,) = problems(CONDUIT_TRUSTED_PROXIES="none,private")
    assert "none, alone" in sentence


def test_a_batch_must_hold_at_least_one_message():
    (sentence,) = problems(CONDUIT_MAX_BATCH_BYTES="1000")
    assert "CONDUIT_MAX_PAYLOAD_BYTES" in sentence


BOUNDS = [
    (field.alias, bound)
    for field in Settings.model_fields.values()
    for bound in field.metadata
    if isinstance(bound, Ge | Gt | Le)
]


@pytest.mark.parametrize(("name", "bound"), BOUNDS)
def test_every_bound_that_a_setting_declares_holds(name, bound):
    match bound:
        case Ge(ge=least):
            beyond = least - 1
        case Gt(gt=below):
            beyond = below
        case Le(le=most):
            beyond = most + 1
    (sentence,) = problems(**{name: str(beyond)})
    assert name in sentence


def test_the_least_value_that_a_description_names_is_the_least():
    named = {
        field.alias: int(least)
        for field in Settings.model_fields.values()
        for least in re.findall(r"At least (\d+)\.", field.description or "")
    }
    assert named == {
        "CONDUIT_DELIVERY_MEMORY_MAX_BYTES": 1 << 20,
    }
    for name, least in named.items():
        load_settings({name: str(least)})
        assert problems(**{name: str(least - 1)})


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("CONDUIT_RETENTION_MAX_AGE_S", "7d", "a whole number of seconds, or none."),
        ("CONDUIT_RETENTION_MAX_BYTES", "1GB", "a whole number of bytes, or none."),
        ("CONDUIT_RETENTION_MAX_MESSAGES", "0", "greater than or equal to 1, or none."),
        ("CONDUIT_DEAD_LETTER_MAX_AGE_S", "1.5", "a whole number of seconds."),
        ("CONDUIT_BODY_TIMEOUT_S", "5s", "a number of seconds."),
        ("CONDUIT_MAX_TOPICS", "1k", "a whole number."),
        ("CONDUIT_TRUSTED_PROXIES", "x", "private; or none, alone: 'x' is none of these."),
    ],
)
def test_what_a_setting_must_be_is_said_whole(name, given, wanted):
    (sentence,) = problems(**{name: given})
    assert sentence.startswith(name)
    assert sentence.endswith(wanted)


def test_what_must_be_shown_nowhere_are_secrets_and_the_passwords_in_urls():
    settings = load_settings(
        {
            "DATABASE_URL": "postgresql://u:p%40ss@h/d postgresql://h/d?password=abc",
            "DEFAULT_API_KEY": SECRET,
            "NODE_ID": "a",
        }
    )
    assert set(settings.secrets) == {"p%40ss", "p@ss", "abc", SECRET}
    assert load_settings({"DATABASE_URL": "sqlite:///a.db"}).secrets == []


def test_every_setting_that_is_named_as_a_secret_is_typed_as_one():
    named = re.compile("SECRET|KEY|PEPPER|PASSWORD|TOKEN|(DATABASE|REDIS)_URL$")
    for field in Settings.model_fields.values():
        if named.search(str(field.alias)) and field.annotation in (str, str | None):
            pytest.fail(f"{field.alias} may be shown")
