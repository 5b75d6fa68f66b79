"""What a Dockerfile says: its stages, and the instructions of each, in their order.

The syntax is that of https://docs.docker.com/reference/dockerfile/, of which what this project's Dockerfile
uses is known. Anything else is an error: a step that were left out would not have been tried.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KNOWN = frozenset(
    {
        "CMD",
        "COPY",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "RUN",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
# The flags of each that are understood.
_FLAGS = {
    "COPY": {"from"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"},
}
_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


class DockerfileError(Exception):
    """It says what is not understood; the text names the line."""


@dataclass(frozen=True)
class Instruction:
    """One of them: its flags by name, and what follows these as it stands there."""

    line: int
    keyword: str
    flags: Mapping[str, str]
    text: str

    def command(self) -> list[str]:
        """The program and its arguments: the list that is written, or a shell that gets the text."""
        if not self.text.startswith("["):
            return ["/bin/sh", "-c", self.text]
        words = json.loads(self.text)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DockerfileError(f"line {self.line}: {self.text} is no list of texts")
        return words

    def pairs(self, environment: Mapping[str, str]) -> dict[str, str]:
        """`NAME=value …`, of ENV and LABEL; `$NAME` is that of before the line."""
        made = {}
        for word in shlex.split(self.text):
            name, is_there, value = word.partition("=")
            if not is_there:
                raise DockerfileError(f"line {self.line}: {word} is not NAME=value")
            made[name] = expanded(value, environment)
        return made

    def words(self, environment: Mapping[str, str]) -> list[str]:
        """What is separated by spaces."""
        return [expanded(word, environment) for word in shlex.split(self.text)]


@dataclass(frozen=True)
class Stage:
    """What begins with FROM: the image that it begins with, its own name, and what is done in it."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str) -> Instruction:
        """The one that counts of those of which the last does. Raises DockerfileError."""
        for instruction in reversed(self.instructions):
            if instruction.keyword == keyword:
                return instruction
        raise DockerfileError(f"the stage {self.name} has no {keyword}")


def parse(text: str) -> list[Stage]:
    """All of it. Raises DockerfileError."""
    stages: list[Stage] = []
    for line, keyword, rest in _lines(text):
        if keyword == "FROM":
            base, *named = rest.split()
            if named and (len(named) != 2 or named[0].upper() != "AS"):
                raise DockerfileError(f"line {line}: FROM {rest} is not understood")
            stages.append(Stage(base, named[1] if named else str(len(stages)), ()))
        elif not stages:
            raise DockerfileError(f"line {line}: {keyword} before FROM is not understood")
        else:
            before = stages.pop()
            made = (*before.instructions, _instruction(line, keyword, rest))
            stages.append(Stage(before.base, before.name, made))
    if not stages:
        raise DockerfileError("there is no FROM")
    return stages


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """With the values of `$NAME`, `${NAME}` and `${NAME:-otherwise}` in their places; none is empty."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1] or found[2]) or found[3] or ""

    return _VARIABLE.sub(value, text)


def _instruction(line: int, keyword: str, rest: str) -> Instruction:
    if keyword not in KNOWN:
        raise DockerfileError(f"line {line}: {keyword} is not understood")
    flags = {}
    while found := _FLAG.match(rest):
        if found[1] not in _FLAGS.get(keyword, ()):
            raise DockerfileError(f"line {line}: {keyword} --{found[1]} is not understood")
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    if rest.startswith("--"):
        raise DockerfileError(f"line {line}: {keyword} {rest.split()[0]} is not understood")
    return Instruction(line, keyword, flags, rest)


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, keyword and the rest of each; comments are no part of one that goes on in the next line."""
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        first = first if parts else number
        goes_on = line.rstrip().endswith("\\")
        parts.append(line.rstrip().removesuffix("\\").strip())
        if not goes_on:
            keyword, _, rest = " ".join(parts).partition(" ")
            yield first, keyword.upper(), rest.strip()
            parts = []
    if parts:
        raise DockerfileError(f"line {first}: it goes on, and there is nothing more")
