"""Whatever ends a command, it is a line and an exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conduit.cli.exits import Exit
from conduit.cli.main import main
from conduit.cli.output import note
from tests.cli.command import COMMAND, Conduit
from tests.support.http import Api
from tests.support.server import RunningServer, clean_environment, running_server

NO_SERVER = {"CONDUIT_URL": "http://127.0.0.1:9"}


def invoke(*args: str, **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, args, env={**NO_SERVER, **env})
    assert result.stdout == ""
    return result.exit_code, result.stderr


@pytest.fixture
def command() -> Iterator[click.Group]:
    """The command line, to which a test adds commands called `broken`."""
    yield main
    main.commands.pop("broken", None)


@pytest.mark.parametrize(
    "args",
    [
        ("health", "--url", "http://127.0.0.1:99999"),
        ("sub", "t", "--url", "http://127.0.0.1:abc"),
        ("pub", "t", "[" * 5_000 + "]" * 5_000),
        ("pub", "t", '"\udcff"'),
        ("pub", "\udcff", "1"),
        ("pub", "t", "1", "--key", "\udcff"),
        ("serve", "--port", "99999"),
        ("migrate", "status", "--database-url", "postgresql://127.0.0.1:99999/x"),
        ("migrate", "status", "--database-url", "postgresql://[::1/x"),
    ],
)
def test_input_that_cannot_be_used_is_exit_code_2_and_a_line(args: tuple[str, ...]) -> None:
    code, told = invoke(*args)
    assert (code, told.startswith("error: ")) == (Exit.USAGE, True), told


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "::::", "junk://x", "http://[::1"])
@pytest.mark.parametrize("args", [("health",), ("sub", "t"), ("pub", "t", "1")])
def test_a_proxy_that_cannot_be_used_is_named(args: tuple[str, ...], proxy: str) -> None:
    code, told = invoke(*args, "--url", "http://events.example", http_proxy=proxy)
    assert (code, told.splitlines()[0].endswith("(code invalid_proxy)")) == (Exit.USAGE, True), told


def test_a_fault_of_conduit_is_told_in_two_lines_with_the_way_to_the_traceback(
    command: click.Group,
) -> None:
    @command.command()
    def broken() -> None:
        raise KeyError("x")

    code, told = invoke("broken")
    assert code == Exit.ERROR
    assert "KeyError: 'x' (code internal)" in told
    assert "PYTHONDEVMODE=1" in told


@pytest.mark.parametrize("error", [KeyboardInterrupt, EOFError, click.Abort])
def test_an_interruption_is_exit_code_130(command: click.Group, error: type[Exception]) -> None:
    @command.command()
    @click.option("--x", callback=lambda *_: (_ for _ in ()).throw(error))
    def broken(x: str) -> None:
        raise AssertionError(x)

    assert invoke("broken") == (Exit.INTERRUPTED, "interrupted\n")


@pytest.mark.process
def test_an_interruption_while_the_program_is_loaded_is_exit_code_130() -> None:
    check = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "conduit.cli.sub":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from conduit.__main__ import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env=clean_environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (Exit.INTERRUPTED, "", "")


@pytest.mark.process
def test_a_server_that_cannot_begin_says_why_in_a_line_with_its_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for settings, code, end in (
            ({"DATABASE_URL": f"sqlite:///{tmp_path}/file/x.db"}, Exit.LIMIT, "_unavailable)"),
            ({"PORT": port}, Exit.ERROR, f"{port}: Address already in use"),
        ):
            env = clean_environment(**{"PORT": "0", "CONDUIT_HOST": "127.0.0.1", **settings})
            done = subprocess.run([*COMMAND, "serve"], capture_output=True, text=True, env=env)
            line = done.stderr.splitlines()[-1]
            assert (done.returncode, line.startswith("error: "), line.endswith(end)) == (
                code,
                True,
                True,
            ), done.stderr


# With a server ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


def shell(server: RunningServer, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell, in which `$C` is the command, with buffers as its users have them."""
    env = clean_environment(CONDUIT_URL=server.url, C=" ".join(COMMAND))
    del env["PYTHONUNBUFFERED"]
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL
    )


@pytest.mark.e2e
@pytest.mark.parametrize("end", [">&-", ">/dev/full"])
@pytest.mark.parametrize(
    "args",
    [
        "health",
        "topic ls",
        "--help",
        "--version",
        "settings",
        "migrate sql",
        "completion bash",
        "pub t 1 --create",
    ],
)
def test_output_that_cannot_be_written_is_an_error(
    server: RunningServer, args: str, end: str
) -> None:
    done = shell(server, f"exec $C {args} {end}")
    assert (done.returncode, done.stdout) == (Exit.ERROR, "")
    assert done.stderr.splitlines()[-1].startswith("error: "), done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("pub unsaid 1 --create", Exit.OK),
        ("sub t --from earliest --count 1", Exit.OK),
        ("topic get nowhere", Exit.NOT_FOUND),
        ("topic get", Exit.USAGE),
        ("topic rm t", Exit.USAGE),
    ],
)
def test_what_cannot_be_said_changes_nothing_of_the_work(
    server: RunningServer, args: str, code: Exit
) -> None:
    shell(server, "$C pub t 1 --create")
    assert shell(server, f"exec $C {args} 2>/dev/full").returncode == code


@pytest.mark.e2e
def test_what_cannot_be_shown_is_not_acked(server: RunningServer) -> None:
    Api(server.url).create_topic("unseen")
    Api(server.url).publish("unseen", 1)
    sub = "sub unseen --subscription s --from earliest --count 1"
    assert "0 received" in shell(server, f"exec $C {sub} >&-").stderr
    assert "1 acked" in Conduit(server.url).ok(*sub.split()).err


@pytest.mark.e2e
@pytest.mark.parametrize("args", ["health", "sub t --from earliest --count 1", "pub t -"])
def test_without_standard_input_and_error_a_command_does_its_work(
    server: RunningServer, args: str
) -> None:
    shell(server, "$C pub t 1 --create")
    assert shell(server, f"exec $C {args} <&- 2>&-").returncode == Exit.OK


@pytest.mark.e2e
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: RunningServer, tmp_path: Path
) -> None:
    conduit = Conduit(server.url)
    conduit.env |= {"http_proxy": "socks5://127.0.0.1:1", "all_proxy": "junk"}
    conduit.ok("pub", "proxied", "1", "--create")
    conduit.ok("sub", "proxied", "--from", "earliest", "--count", "1")


KEY = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"


@pytest.mark.parametrize("args", [(KEY,), ("pub", "t", "1", "--url", KEY), ("health", f"--{KEY}")])
def test_a_secret_in_a_wrong_place_is_not_repeated(args: tuple[str, ...]) -> None:
    code, told = invoke(*args)
    assert code == Exit.USAGE
    assert KEY[20:] not in told


def test_a_note_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    note(f"signed in with {KEY}")
    assert capsys.readouterr().err == "signed in with ck_live_Ab3dEf7h_…\n"


@pytest.mark.process
def test_a_traceback_for_developers_holds_no_secret() -> None:
    check = f"""
from conduit.cli.main import main
from conduit.cli.output import note
@main.command()
def broken():
    raise KeyError({KEY!r})
main(["broken"])
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", check],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
    )
    assert done.returncode == Exit.ERROR
    assert done.stderr.startswith("Traceback")
    assert "KeyError: 'ck_live_Ab3dEf7h_…'" in done.stderr
    assert KEY[20:] not in done.stderr
