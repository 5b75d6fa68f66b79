"""Which server a command works on, and which key goes there."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from conduit.cli.context_file import Context, Contexts
from conduit.cli.main import main
from conduit.cli.server import DEFAULT_URL, Given, Target, decide
from conduit.errors import NotFound
from tests.cli.answering import answering
from tests.cli.command import Conduit

PROD, STAGE, HERE = "https://prod.example", "https://stage.example", "http://127.0.0.1:9000"
KNOWN = {
    "prod": Context(PROD, "prod-key", "acme"),
    "stage": Context(STAGE, "stage-key"),
    "bare": Context(PROD),
}
WHO = {
    "tenant": "acme",
    "actor": "key:abcd1234",
    "key_id": "abcd1234",
    "scopes": [],
    "expires_at": None,
    "limits": {},
}
STATS = {"GET /api/stats": {"connections": 1}, "GET /api/whoami": WHO}


def where(current: str | None = None, **given: str | None) -> tuple[Target, list[str]]:
    return decide(Given(**given), lambda: Contexts(dict(KNOWN), current))


@pytest.mark.parametrize(
    ("current", "given", "target"),
    [
        (None, {}, (DEFAULT_URL, None, None)),
        ("prod", {}, (PROD, "prod-key", "acme")),
        ("prod", {"context_variable": "stage"}, (STAGE, "stage-key", None)),
        ("prod", {"context": "stage", "context_variable": "prod"}, (STAGE, "stage-key", None)),
        # Variables come before the context in use, and after one that an option names.
        ("prod", {"url_variable": HERE}, (HERE, None, None)),
        ("prod", {"api_key_variable": "k"}, (PROD, "k", "acme")),
        ("prod", {"url_variable": HERE, "api_key_variable": "k"}, (HERE, "k", None)),
        (None, {"context": "prod", "url_variable": HERE}, (PROD, "prod-key", "acme")),
        (None, {"context": "prod", "api_key_variable": "k"}, (PROD, "prod-key", "acme")),
        (None, {"context": "bare", "api_key_variable": "k"}, (PROD, "k", None)),
        (None, {"context_variable": "prod", "api_key_variable": "k"}, (PROD, "k", "acme")),
        # Options come before all.
        ("prod", {"api_key": "k", "tenant": "t"}, (PROD, "k", "t")),
        (None, {"context": "prod", "api_key": "k"}, (PROD, "k", "acme")),
        (None, {"url": HERE, "url_variable": STAGE, "api_key": "k"}, (HERE, "k", None)),
        (None, {"url": HERE, "api_key_variable": "k"}, (HERE, "k", None)),
        # The same server, differently written.
        (
            "prod",
            {"url": "https://PROD.example:443/"},
            ("https://PROD.example:443/", "prod-key", "acme"),
        ),
        (
            None,
            {"url": f"{HERE}/", "url_variable": HERE, "api_key_variable": "k"},
            (f"{HERE}/", "k", None),
        ),
    ],
)
def test_what_is_nearer_to_the_command_comes_first(
    current: str | None, given: dict[str, str], target: tuple[str, str | None, str | None]
) -> None:
    assert where(current, **given) == (Target(*target), [])


@pytest.mark.parametrize(
    ("current", "given", "said"),
    [
        ("prod", {"url": HERE}, f"the key of context prod is for {PROD}; it is not sent to {HERE}"),
        (None, {"url": HERE, "context": "prod"}, "the key of context prod"),
        (None, {"url_variable": HERE, "context_variable": "prod"}, "the key of context prod"),
        ("prod", {"url": "http://prod.example"}, "the key of context prod"),
        ("prod", {"url": f"{PROD}:8443"}, "the key of context prod"),
        ("prod", {"url": f"{PROD}/elsewhere"}, "the key of context prod"),
        ("prod", {"url": "https://prod.example.evil"}, "the key of context prod"),
        (
            None,
            {"url": HERE, "url_variable": STAGE, "api_key_variable": "k"},
            f"CONDUIT_API_KEY is for CONDUIT_URL; it is not sent to {HERE}",
        ),
        (
            None,
            {"context": "bare", "url_variable": STAGE, "api_key_variable": "k"},
            "CONDUIT_API_KEY is for CONDUIT_URL",
        ),
    ],
)
def test_a_key_goes_to_no_server_but_its_own(
    current: str | None, given: dict[str, str], said: str
) -> None:
    target, notes = where(current, **given)
    assert (target.api_key, target.tenant) == (None, None)
    (text,) = notes
    assert said in text


def test_where_another_key_is_given_nothing_is_said() -> None:
    assert where("prod", url=HERE, api_key="k") == (Target(HERE, "k"), [])


def test_contexts_are_not_looked_at_if_nothing_of_them_could_be_used() -> None:
    def damaged() -> Contexts:
        raise AssertionError

    given = Given(url_variable=HERE, api_key="k")
    assert decide(given, damaged) == (Target(HERE, "k"), [])


@pytest.mark.parametrize("given", [{"context": "nope"}, {"context_variable": "nope"}])
def test_a_context_that_there_is_not_is_an_error(given: dict[str, str]) -> None:
    with pytest.raises(NotFound, match="'nope'"):
        where(None, **given)


def test_addresses_are_told_without_their_passwords() -> None:
    _, (text,) = where("prod", url="http://me:word@there.example")
    assert "word@" not in text


def test_keys_are_in_no_repr() -> None:
    told = repr([Target(HERE, "secret"), Given(api_key="secret"), Context(HERE, "secret")])
    assert "secret" not in told


# The options ----------------------------------------------------------------------------------------


def run(*args: str, stdin: str = "", **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, args, input=stdin, env=env)
    return result.exit_code, result.stderr


def test_the_key_and_the_tenant_of_the_options_are_sent() -> None:
    with answering(STATS) as server:
        here = ("stats", "--url", server.url)
        assert run(*here, "--api-key", "one", "--tenant", "acme") == (0, "")
        assert run(*here, CONDUIT_API_KEY="two") == (0, "")
        assert run("stats", CONDUIT_URL=server.url) == (0, "")
    assert [one.key for one in server.asked] == ["one", "one", "two", None]
    assert server.asked[1].headers["x-conduit-tenant"] == "acme"


def test_for_another_tenant_than_the_key_is_of_nothing_is_done() -> None:
    with answering(STATS) as server:
        code, told = run("stats", "--url", server.url, "--tenant", "other")
    assert (code, "works on tenant acme" in told) == (4, True)
    assert server.lines == ["GET /api/whoami"]


@pytest.mark.process
def test_a_key_is_a_line_of_standard_input_and_what_is_behind_it_is_data() -> None:
    with answering({"POST /api/publish/batch": {"results": []}, **STATS}) as server:
        conduit = Conduit(server.url)
        conduit.ok("stats", "--api-key", "-", stdin="key")
        conduit.ok("pub", "t", "-", "--api-key", "-", stdin="key\n1\n2\n")
    assert [one.key for one in server.asked] == ["key", "key"]
    assert [one["payload"] for one in server.asked[1].body["messages"]] == [1, 2]


def test_a_key_is_read_from_a_file(no_contexts) -> None:
    file = no_contexts / "key"
    file.write_text("key\n")
    with answering(STATS) as server:
        args = ("stats", "--url", server.url, "--api-key-file", str(file))
        assert run(*args) == (0, "")
        file.write_text("two\nlines\n")
        code, told = run(*args)
    assert [one.key for one in server.asked] == ["key"]
    assert (code, "invalid_api_key" in told, "two" in told) == (2, True, False)


def test_two_keys_are_one_too_many() -> None:
    code, told = run("stats", "--api-key", "x", "--api-key-file", "y")
    assert (code, "give one of them" in told) == (2, True)


@pytest.mark.parametrize("key", ["", "with a\nline", "schlüssel-42"])
def test_a_key_that_cannot_be_sent_is_told_and_not_repeated(key: str) -> None:
    code, told = run("stats", "--url", "http://127.0.0.1:9", "--api-key", key)
    assert (code, "invalid_api_key" in told) == (2, True)
    assert not key or key not in told


def test_that_it_goes_unencrypted_is_said_once() -> None:
    code, told = run("topic", "rm", "t", "-y", "--url", "http://no.invalid", "--api-key", "k")
    assert (code, told.count("unencrypted")) == (7, 1)
