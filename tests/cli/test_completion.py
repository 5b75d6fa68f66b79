"""What a shell is told when somebody presses the tabulator."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conduit.cli import completion
from conduit.cli.main import main
from tests.cli.command import COMMAND, Conduit
from tests.cli.test_start import commands
from tests.support.server import RunningServer, clean_environment, free_port, running_server
from tests.support.wait import until


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        conduit = Conduit(server.url)
        for name in ("orders", "orders.refunds", "logs"):
            conduit.ok("topic", "create", name)
        with conduit.subscribe("orders", "--subscription", "billing"):
            pass
        yield server


@pytest.mark.process  # click asks bash for its version
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_taught_with_the_name_of_the_command(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_CONDUIT_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_names_of_what_there_is_are_completed_wherever_they_stand(
    path: tuple[str, ...],
) -> None:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    noun = {
        "topic": completion.topics,
        "subscription": completion.subscriptions,
        "tenant": completion.tenants,
        "context": completion.contexts,
    }
    wanted = {**noun, "pattern": noun["topic"], "key_id": completion.keys}
    wanted |= {"node_id": completion.nodes, "job_id": completion.jobs}
    for param in command.params:
        kind = noun.get(path[0]) if param.name == "name" else wanted.get(str(param.name))
        is_new = path[-1] in ("create", "add") and param.name in ("name", "tenant")
        is_new |= path[0] == "bench" and param.name == "subscription"
        if kind is not None and not is_new:
            assert param._custom_shell_complete is kind, (path, param.name)


def completed(line: str, **env: str) -> list[str]:
    """What bash is offered for the last word of the line."""
    words = line.split(" ")
    done = subprocess.run(
        [*COMMAND],
        capture_output=True,
        text=True,
        env=clean_environment(
            COMP_WORDS=line,
            COMP_CWORD=str(len(words) - 1),
            _CONDUIT_COMPLETE="bash_complete",
            **env,
        ),
    )
    assert done.stderr == ""
    return [offer.partition(",")[2] for offer in done.stdout.split()]


def offered(line: str, **env: str) -> list[str]:
    """The same, once there is something: the command waits for the server for a second only."""
    return until(lambda: completed(line, **env))


@pytest.mark.e2e
def test_names_are_those_of_the_server(server: RunningServer) -> None:
    here = {"CONDUIT_URL": server.url}
    assert offered("conduit topic get ord", **here) == ["orders", "orders.refunds"]
    assert offered("conduit sub orders --subscription ", **here) == ["billing"]
    assert offered(f"conduit dlq ls --url {server.url} --topic l") == ["logs"]
    job = Conduit(server.url).ok("dlq", "redrive", "--all", "--yes").json["id"]
    assert offered(f"conduit dlq job {job[:9]}", **here) == [job]
    assert offered("conduit node get ", **here) == [socket.gethostname()]
    assert offered("conduit health --wa", **here) == ["--wait"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("conduit topic get --url $URL ord", ["orders", "orders.refunds"]),
        ("conduit topic get --url=$URL ", ["logs", "orders", "orders.refunds"]),
        ("conduit sub --timeout=3s --url $URL l", ["logs"]),
        ("conduit sub orders --url $URL --subscription=b", ["billing"]),
    ],
)
def test_bash_completes_behind_words_that_it_cuts(
    server: RunningServer, tmp_path: Path, line: str, names: list[str]
) -> None:
    command = tmp_path / "conduit"
    command.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    command.chmod(0o700)
    typed = line.replace("$URL", server.url)
    # What bash sets: the words as it cuts them, and the whole line, here with the cursor before its end.
    words = " ".join(shlex.quote(word) for word in re.split(r"([:=])|\s+", typed) if word)
    script = f"""
eval "$(conduit completion bash)"
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_LINE={shlex.quote(typed + " | cat")} COMP_POINT={len(typed)}
_conduit_completion conduit
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    env = clean_environment()
    env["PATH"] = f"{tmp_path}:{env['PATH']}"

    def reply() -> list[str]:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env)
        assert done.stderr == ""
        return done.stdout.split()

    # It waits for the server for a second only.
    assert until(reply) == names


@pytest.mark.process
def test_without_a_server_nothing_is_offered_and_nothing_said() -> None:
    nowhere = {"CONDUIT_URL": f"http://127.0.0.1:{free_port()}"}
    assert completed("conduit topic get ord", **nowhere) == []
    assert completed("conduit topic get --url nonsense ord") == []
