"""`DATABASE_URL`: what it may be, where it may be, and what of it is shown."""

import os
from pathlib import Path

import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError

SECRET = "s3cr3t-value"


def problems(**environ):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    return caught.value.problems


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///data/conduit.db", "data/conduit.db"), ("sqlite:////var/c.db", "/var/c.db")],
)
def test_a_sqlite_url_names_a_file(url, path):
    assert load_settings({"DATABASE_URL": url}).database_path == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pw@host:5433/events",
        "postgres://host/events?sslmode=require",
        "postgresql://user:a%2Fb@one:5432,two:5432/events",
        "postgresql:///events?host=/run/postgresql",
        "postgresql://[::1]:5432,%2Frun%2Fpostgresql/events",
        "postgresql://one/events postgresql://two/events",
    ],
)
def test_a_postgres_url_is_taken_as_it_is(url):
    settings = load_settings({"DATABASE_URL": url})
    assert (settings.postgres_urls, settings.database_path) == (tuple(url.split()), None)
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:a/b@host/events",
        "postgresql://user:a@b@host/events",
        "postgresql://host/a/b",
        "postgresql://host:99999/events",
        "postgresql://one:5432,two:0/events",
        "postgresql://host:http/events",
        "postgresql://[::1/events",
        "postgresql://ho st/events",
        "postgresql://one/events,sqlite:///x.db postgresql://two/events",
        "postgresql://one/events sqlite:///x.db",
        "sqlite:////tmp/x.db postgresql://one/events",
        "sqlite:///x.db sqlite:///y.db",
        " ".join(["postgresql://one/events"] * 65),
        "postgresql+asyncpg://host/events",
        "sqlite:///",
        "sqlite://",
        "sqlite:///folder/",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "mysql://h/d",
        "x.db",
    ],
)
def test_any_other_database_url_is_refused(url):
    assert problems(DATABASE_URL=url)[0].startswith("DATABASE_URL ")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/events",
        f"postgresql://one/events postgresql://user:{SECRET}@two/events",
        f"postgresql://user@host/events?password={SECRET}",
        f"mysql://user:{SECRET}@host/events",
        f"postgresql://user:{SECRET}@[host/events",
    ],
)
def test_a_password_on_the_command_line_is_refused_since_others_see_it_there(url):
    with pytest.raises(ConfigError) as caught:
        load_settings({"DATABASE_URL": "postgresql://elsewhere/events"}, database_url=url)
    assert "ps" in str(caught.value)
    assert "DATABASE_URL_FILE" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://user@host:5432/events?sslmode=require", "sqlite:///x.db"]
)
def test_a_url_without_a_password_may_stand_on_the_command_line(url, tmp_path):
    environ = {"DATABASE_URL_FILE": str(tmp_path / "missing")}
    assert load_settings(environ, database_url=url).database_url.get_secret_value() == url


@pytest.mark.parametrize(
    "text", ["postgresql://a:b@one/x\npostgresql://two/x\n", " sqlite:///x.db\n"]
)
def test_the_database_url_may_be_in_a_file(text, tmp_path):
    (tmp_path / "url").write_text(text)
    settings = load_settings({"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.database_url.get_secret_value() == " ".join(text.split())


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"x" * 100_000])
def test_a_file_that_holds_no_url_is_refused_and_its_content_not_told(content, tmp_path):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    (sentence,) = problems(DATABASE_URL_FILE=str(path))
    assert sentence.startswith(f"DATABASE_URL_FILE is {str(path)!r}: it ")
    assert "xxx" not in sentence


def test_a_wrong_url_in_a_file_is_not_repeated(tmp_path):
    (tmp_path / "url").write_text(f"mysql://user:{SECRET}@host/db")
    (sentence,) = problems(DATABASE_URL_FILE=str(tmp_path / "url"))
    assert sentence.startswith("DATABASE_URL must be sqlite")
    assert SECRET not in sentence


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"postgresql://user:{SECRET}@host/events", "host:5432/events"),
        (f"postgresql://user:{SECRET}@host:5433/events?password={SECRET}", "host:5433/events"),
        ("postgresql://one/a postgresql://two:1/b", "one:5432/a, two:1/b"),
        ("postgresql://one:1,two/events", "one:1,two:5432/events"),
        ("postgresql://[::1]/events", "[::1]:5432/events"),
        ("postgresql:///events?host=/run/postgresql", "/run/postgresql/events"),
        ("postgresql:///events?host=db&port=7", "db:7/events"),
        ("postgresql:///events", "localhost:5432/events"),
        ("sqlite:////var/c.db", "/var/c.db"),
        ("sqlite:///c.db", str(Path("c.db").absolute())),
    ],
)
def test_where_the_database_is_may_be_shown_and_no_secret_is_in_it(url, place):
    assert load_settings({"DATABASE_URL": url}).database_place == place


def test_without_a_database_there_is_no_place_for_one():
    assert load_settings({}).database_place is None


def test_two_places_for_the_database_url_are_one_too_many(tmp_path):
    (sentence,) = problems(DATABASE_URL="sqlite:///x.db", DATABASE_URL_FILE=str(tmp_path))
    assert sentence == "DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them."


def test_a_pipe_is_no_file_with_the_url_and_nobody_waits_for_what_comes_out_of_it(tmp_path):
    os.mkfifo(tmp_path / "url")
    (sentence,) = problems(DATABASE_URL_FILE=str(tmp_path / "url"))
    assert "names a pipe or a device, and no file" in sentence
