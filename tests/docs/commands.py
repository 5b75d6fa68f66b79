"""Lines of shell in the documentation that are not run: whether each command in them is one that there is."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import click

from conduit.cli.main import main
from conduit.server.rest.api import describe
from tools.site.links import ROOT

_BETWEEN = {"|", "&", "&&", "||", ";"}
_SET = re.compile(r"[A-Z_]+=.*", re.DOTALL)
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Programs of others, where a line is of what they do with a command of ours.
_BESIDE_OURS = {"jq", "psql", "tail"}
# Served, and in no description: pages, and what is for nodes.
_BESIDES = re.compile(r"/(ui/.*|docs|openapi\.json|metrics|ws|internal/.*)?")


def commands(line: str) -> list[list[str]]:
    """The words of each command in a line, without variables that are set for it and files that it writes."""
    parts: list[list[str]] = [[]]
    is_written = False
    for word in shlex.split(line, comments=True):
        if word in _BETWEEN:
            parts.append([])
        elif word in (">", ">>", "<"):
            is_written = True
        elif is_written:
            is_written = False
        elif parts[-1] or not _SET.fullmatch(word):
            parts[-1].append(word.removeprefix(".venv/bin/"))
    return [part for part in parts if part]


def unknown(words: list[str], is_beside_ours: bool = False) -> str:
    """Why a command is none that can be looked at, or nothing. Raises click.UsageError for wrong options."""
    name, *args = words
    if name == "conduit":
        parse(args)
        return ""
    if name == "curl":
        return _not_served(args)
    if name == "make":
        wrong = [arg for arg in args if "=" not in arg and arg not in _TARGETS]
        return f"no target of the Makefile: {wrong}" if wrong else ""
    if name.startswith("python") and args[:1] == ["-m"]:
        return "" if find_spec(args[1]) else f"there is no module {args[1]}"
    if name in ("export", "mkdir") or (is_beside_ours and name in _BESIDE_OURS):
        return ""
    return f"`{name}` is not looked at: run it, or say why not"


@cache
def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = describe()["paths"]
    return paths


def parse(args: list[str]) -> None:
    """Parse a command line without running it. Raises click.UsageError."""
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *args = args
        if name not in command.commands:
            raise click.UsageError(f"there is no command {name}")
        command = command.commands[name]
    command.make_context("conduit", args).close()


def _not_served(args: list[str]) -> str:
    """Whether a request is one that the server describes; its body is JSON."""
    path, method = "", "GET"
    rest = iter(args)
    for arg in rest:
        if arg in ("-X", "--request"):
            method = next(rest)
        elif arg in ("-d", "--data"):
            method = "POST" if method == "GET" else method
            # `…` stands for what is left out.
            json.loads(next(rest))
        elif arg in ("-H", "--header", "-o"):
            next(rest)
        elif not arg.startswith("-"):
            path = urlsplit(arg if "://" in arg else f"http://{arg}").path or "/"
    if _BESIDES.fullmatch(path):
        return ""
    for template, methods in _paths().items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            return ""
    return f"the server has no {method} {path}"
