"""Keys, tenants, tokens, whoami and the audit log: what is asked of the server, and what is printed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from conduit.cli.exits import Exit
from conduit.cli.main import main
from tests.cli.answering import Answering, answering
from tests.cli.test_secret import KEY as SECRET
from tests.client.test_access import ENTRY, KEY, TENANT

CREATED = (201, KEY | {"key": SECRET})
TOKEN = {"token": "eyJ.eyJ.sig", "expires_at": "2026-01-01T00:00:00.000Z"}
ONCE = "the key is shown this once, and kept nowhere\n"


def run(answers: dict[str, Any], *args: str) -> tuple[Result, Answering]:
    with answering(answers) as server:
        return CliRunner().invoke(main, [*args, "--url", server.url]), server


def ok(answers: dict[str, Any], *args: str) -> tuple[Result, Answering]:
    result, server = run(answers, *args)
    assert result.exit_code == 0, result.stderr
    return result, server


# Keys -----------------------------------------------------------------------------------------------


def test_a_key_is_created_and_printed_once() -> None:
    result, server = ok(
        {"POST /api/keys": CREATED},
        *("key", "create", "worker", "--scope", "publish", "--scope", "subscribe:orders.>@b"),
        *("--expires", "90d", "--limit", "connections=3"),
    )
    assert server.asked[0].body == {
        "name": "worker",
        "scopes": [
            {"scope": "publish"},
            {"scope": "subscribe", "topics": ["orders.>"], "subscriptions": ["b"]},
        ],
        "ttl_s": 90 * 86_400,
        "limits": {"connections": 3},
    }
    assert json.loads(result.stdout)["key"] == SECRET
    assert result.stderr == ONCE


@pytest.mark.parametrize(
    ("expires", "sent"),
    [
        ("2027-01-01T00:00:00Z", {"expires_at": "2027-01-01T00:00:00.000Z"}),
        ("none", {}),
    ],
)
def test_its_expiry_is_a_time_or_none(expires: str, sent: dict[str, str]) -> None:
    create = ("key", "create", "w", "--scope", "admin", "--expires", expires)
    _, server = ok({"POST /api/keys": CREATED}, *create)
    assert server.asked[0].body == {"name": "w", "scopes": [{"scope": "admin"}], **sent}


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (("key", "create", "w", "--scope", "admin"), {"POST /api/keys": CREATED}),
        (("key", "rotate", "abcd1234"), {"POST /api/keys/abcd1234/rotate": CREATED}),
        (("token", "create", "--scope", "publish"), {"POST /api/tokens": (201, TOKEN)}),
    ],
)
def test_a_secret_is_printed_alone_or_written_to_a_file_of_ones_own(
    args: tuple[str, ...], answer: dict[str, Any], tmp_path: Path
) -> None:
    secret = TOKEN["token"] if args[0] == "token" else SECRET
    result, _ = ok(answer, *args, "-q")
    assert result.stdout == f"{secret}\n"
    assert "shown this once" in result.stderr
    file = tmp_path / "secret"
    result, _ = ok(answer, *args, "--out", str(file))
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (f"{secret}\n", 0o600)
    assert secret not in result.output
    assert "expires_at" in json.loads(result.stdout)
    result, _ = ok(answer, *args, "--out", str(tmp_path / "other"), "-o", "table")
    assert secret not in result.output
    assert "expires" in result.stdout


def test_what_is_refused_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    refusal = {"POST /api/keys": (403, {"code": "forbidden", "detail": "no"})}
    create = ("key", "create", "w", "--scope", "admin", "--out", str(file))
    result, _ = run(refusal, *create)
    assert (result.exit_code, file.exists()) == (Exit.AUTH, False)


def test_a_key_is_not_made_if_there_is_nowhere_to_write_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("precious")
    create = ("key", "create", "w", "--scope", "admin", "--out", str(file))
    result, server = run({"POST /api/keys": CREATED}, *create)
    assert (result.exit_code, server.asked, file.read_text()) == (Exit.ERROR, [], "precious")


def test_a_key_is_listed_and_shown_without_its_secret() -> None:
    former = KEY | {"id": "zzzz0000", "revoked_at": "2026-01-01T00:00:00.000Z"}
    expired = KEY | {"id": "yyyy0000", "expires_at": "2026-01-01T00:00:00.000Z"}
    rotating = KEY | {"id": "xxxx0000", "rotating_until": "9999-01-01T00:00:00.000Z"}
    page = {"keys": [KEY, former, expired, rotating], "next": None}
    result, _ = ok({"GET /api/keys": page}, "key", "ls", "-o", "table")
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["abcd1234", "zzzz0000", "yyyy0000", "xxxx0000"]
    assert [row[4] for row in rows] == ["active", "revoked", "expired", "rotating"]
    assert rows[2][5] == "2026-01-01T00:00Z"
    result, _ = ok({"GET /api/keys/abcd1234": KEY}, "key", "show", "abcd1234", "-o", "table")
    assert "scopes          publish subscribe:orders.>\n" in result.stdout
    rotated = KEY | {"rotating_until": "2026-01-01T00:00:00.000Z"}
    for shown, text in ((rotating, "9999-01-01T00:00:00.000Z"), (rotated, "-")):
        result, _ = ok({"GET /api/keys/x": shown}, "key", "show", "x", "-o", "table")
        assert f"rotating until  {text}\n" in result.stdout
    assert "limits          connections 3\n" in result.stdout


def test_what_of_a_key_is_left_out_of_a_change_is_not_sent() -> None:
    change = ("key", "change", "abcd1234")
    for args, sent in (
        (("--name", "n"), {"name": "n"}),
        (("--expires", "none"), {"expires_at": None}),
        (("--scope", "manage"), {"scopes": [{"scope": "manage"}]}),
        (("--limit", "connections=none"), {"limits": {"connections": None}}),
    ):
        _, server = ok({"PATCH /api/keys/abcd1234": KEY}, *change, *args)
        assert server.asked[0].body == sent
    _, server = ok({"PATCH /api/keys/abcd1234": KEY}, *change, "--expires", "1h")
    assert server.asked[0].body["expires_at"] > "2026"


def test_a_key_is_rotated_with_an_overlap_or_without_one_if_that_is_meant() -> None:
    rotate = ("key", "rotate", "abcd1234")
    answers = {"POST /api/keys/abcd1234/rotate": CREATED}
    for args, sent in (
        ((), {}),
        (("--overlap", "1h"), {"overlap_s": 3600}),
        (("--overlap", "0s", "-y"), {"overlap_s": 0}),
    ):
        _, server = ok(answers, *rotate, *args)
        assert server.asked[0].body == sent
    result, server = run(answers, *rotate, "--overlap", "0s")
    assert (result.exit_code, server.asked) == (Exit.USAGE, [])


def test_a_key_is_revoked_if_that_is_meant() -> None:
    answers = {"DELETE /api/keys/abcd1234": (204, None)}
    result, server = ok(answers, "key", "revoke", "abcd1234", "--yes")
    assert (result.stderr, server.lines) == (
        "revoked abcd1234\n",
        ["DELETE /api/keys/abcd1234"],
    )
    result, server = run(answers, "key", "revoke", "abcd1234")
    assert (result.exit_code, server.asked) == (Exit.USAGE, [])


# Tenants --------------------------------------------------------------------------------------------


def test_tenants_are_listed_and_shown_with_what_they_use() -> None:
    page = {"tenants": [TENANT], "next": None}
    result, _ = ok({"GET /api/tenants": page}, "tenant", "ls", "-o", "table")
    assert result.stdout.splitlines()[1].split() == ["acme", *["1"] * 4, "B", "1", "1"]
    result, _ = ok({"GET /api/tenants/acme": TENANT}, "tenant", "get", "acme", "-o", "table")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line}
    assert rows["topics"] == ["5", "1"]
    assert rows["stored_bytes"] == ["no", "limit", "1", "B"]
    assert rows["publishes_per_s"] == ["no", "limit", "-"]
    result, _ = ok({"GET /api/tenants/acme": TENANT}, "tenant", "get", "acme")
    assert json.loads(result.stdout)["usage"]["keys"] == 1


def test_a_tenant_is_created_changed_and_deleted() -> None:
    limits = ("--limit", "topics=5", "--limit", "stored_bytes=1GiB")
    _, server = ok({"POST /api/tenants": (201, TENANT)}, "tenant", "create", "acme", *limits)
    assert server.asked[0].body == {
        "name": "acme",
        "limits": {"topics": 5, "stored_bytes": 1 << 30},
    }
    _, server = ok({"POST /api/tenants": (201, TENANT)}, "tenant", "create", "acme")
    assert server.asked[0].body == {"name": "acme"}
    change = ("tenant", "change", "acme", "--limit", "topics=none")
    _, server = ok({"PATCH /api/tenants/acme": TENANT}, *change)
    assert server.asked[0].body == {"limits": {"topics": None}}
    answers = {"DELETE /api/tenants/acme": (204, None)}
    result, _ = ok(answers, "tenant", "delete", "acme", "-y")
    assert result.stderr == "deleted acme\n"
    result, server = run(answers, "tenant", "rm", "acme")
    assert (result.exit_code, server.asked) == (Exit.USAGE, [])


# Tokens, whoami, audit ------------------------------------------------------------------------------


def test_a_token_is_good_as_long_as_the_server_says_or_as_is_told() -> None:
    for args, sent in (
        ((), {}),
        (("--ttl", "1h", "--subject", "ann"), {"ttl_s": 3600, "subject": "ann"}),
    ):
        create = ("token", "create", "--scope", "subscribe:a.>", *args)
        _, server = ok({"POST /api/tokens": (201, TOKEN)}, *create)
        scopes = [{"scope": "subscribe", "topics": ["a.>"]}]
        assert server.asked[0].body == {"scopes": scopes, **sent}


def test_who_one_is() -> None:
    who = {name: KEY[name] for name in ("tenant", "scopes", "limits", "expires_at")}
    who |= {"actor": "key:abcd1234", "key_id": "abcd1234"}
    result, _ = ok({"GET /api/whoami": who}, "whoami", "-o", "table")
    assert "actor    key:abcd1234\n" in result.stdout
    assert "scopes   publish subscribe:orders.>\n" in result.stdout
    result, _ = ok({"GET /api/whoami": who}, "whoami")
    assert json.loads(result.stdout)["key_id"] == "abcd1234"


def test_the_audit_log_is_asked_for_what_is_wanted() -> None:
    answers = {"GET /api/audit": {"entries": [ENTRY], "next": None}}
    which = ("--from", "2026-01-01T00:00:00Z", "--actor", "server", "--action", "topic.delete")
    result, server = ok(answers, "audit", *which, "-o", "table")
    assert server.lines == [
        "GET /api/audit?from_time=2026-01-01T00%3A00%3A00.000Z&actor=server&action=topic.delete"
        "&limit=100"
    ]
    assert "topic.delete  orders" in result.stdout
    assert "messages=3" in result.stdout


def test_whose_entries_they_are_is_said_also_where_all_are_of_one() -> None:
    result, _ = ok({"GET /api/audit": {"entries": [ENTRY], "next": None}}, "audit", "-o", "table")
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["TENANT", "default"]
    entries = [ENTRY, ENTRY | {"id": "e0", "tenant": "acme"}]
    answers = {"GET /api/audit": {"entries": entries, "next": None}}
    result, _ = ok(answers, "audit", "-o", "table")
    assert [line.split()[-1] for line in result.stdout.splitlines()] == [
        "TENANT",
        "default",
        "acme",
    ]


KEY_MADE = ENTRY | {
    "action": "key.create",
    "tenant": "acme",
    "detail": {
        "name": "app",
        "scopes": [{"scope": "publish", "topics": ["orders.*"]}, {"scope": "manage"}],
        "limits": {"connections": 2},
        "expires_at": None,
    },
}
MADE_TEXT = 'name=app scopes=publish:orders.* manage limits={"connections":2} expires_at=null'


def test_what_an_entry_knows_of_a_key_is_spelled_as_its_options_are() -> None:
    result, _ = ok(
        {"GET /api/audit": {"entries": [KEY_MADE], "next": None}}, "audit", "-o", "table"
    )
    assert MADE_TEXT in result.stdout
    unknown = KEY_MADE | {"detail": {"scopes": [{"scope": "fly"}]}}
    result, _ = ok({"GET /api/audit": {"entries": [unknown], "next": None}}, "audit", "-o", "table")
    assert 'scopes=[{"scope":"fly"}]' in result.stdout


def test_entries_that_are_followed_say_whose_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conduit.cli.audit.POLL_S", 0.0)
    page = {"entries": [KEY_MADE, ENTRY | {"id": "e0"}], "next": None}
    end = (500, {"code": "internal", "detail": "the end of the test"})
    result, _ = run({"GET /api/audit": [page, end]}, "audit", "-f", "-o", "table")
    assert result.stdout.splitlines() == [
        f"{ENTRY['at']} topic.delete orders by key:abcd1234 from 127.0.0.1 (messages=3)",
        f"{ENTRY['at']} key.create orders of tenant 'acme' by key:abcd1234 from 127.0.0.1 ({MADE_TEXT})",
    ]


@pytest.mark.parametrize("args", [("-o", "json"), ("--to", "-1h")])
def test_what_has_no_end_is_no_document(args: tuple[str, ...]) -> None:
    result, server = run({}, "audit", "-f", *args)
    assert (result.exit_code, server.asked) == (Exit.USAGE, [])


def entry(number: int, second: int) -> dict[str, Any]:
    return ENTRY | {"id": f"e{number}", "at": f"2026-01-01T00:00:{second:02}.000Z"}


def test_the_audit_log_is_followed_without_repeating_or_missing_an_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conduit.cli.audit.POLL_S", 0.0)
    pages = [
        # The newest two of three; the third is older, and was not wanted.
        [entry(2, 20), entry(1, 19), entry(0, 18)],
        [entry(2, 20), entry(1, 19), entry(0, 18)],
        # One that was stored late.
        [entry(4, 21), entry(2, 20), entry(3, 20), entry(1, 19)],
    ]
    answers: list[Any] = [{"entries": found, "next": None} for found in pages]
    answers.append((500, {"code": "internal", "detail": "the end of the test"}))
    result, server = run({"GET /api/audit": answers}, "audit", "-f", "--limit", "2")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [
        *("e1", "e2"),
        *("e3", "e4"),
    ]
    assert "from_time=2026-01-01T00%3A00%3A10.000Z" in server.lines[1]


# Refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (401, {"code": "unauthenticated", "detail": "no"}, Exit.AUTH, "CONDUIT_API_KEY"),
        (403, {"code": "forbidden", "detail": "no"}, Exit.AUTH, "conduit whoami"),
        (
            403,
            {"code": "limit_reached", "detail": "no", "limit": "topics"},
            Exit.LIMIT,
            "limit topics)",
        ),
        (404, {"code": "key_not_found", "detail": "no"}, Exit.NOT_FOUND, "conduit key ls"),
        (
            429,
            {"code": "rate_limited", "detail": "no", "limit": "x"},
            Exit.LIMIT,
            "rate_limited, limit x",
        ),
    ],
)
def test_a_refusal_has_its_exit_code_and_says_what_to_do(
    status: int, body: dict[str, str], code: Exit, said: str
) -> None:
    result, _ = run({"GET /api/keys/x": (status, body)}, "key", "get", "x")
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
