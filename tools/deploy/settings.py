"""Which settings the files of a deployment give to Conduit, as the programs read them that start it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

COMPOSE = "docker-compose.yml"
PRODUCTION = "deploy/compose.production.yml"
KUBERNETES = "deploy/kubernetes"
UNIT = "deploy/conduit.service"
RAILWAY = "railway.json"
# Of the compose files: the services that are Conduit.
NODES = ("server-1", "server-2")

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<rest>[^}]*))?\}")


class Missing(Exception):
    """A variable has to be set, and is not; the text says which."""


def yaml(path: Path) -> dict[str, Any]:
    """The one document of a file."""
    return dict(YAML(typ="safe").load(path))


def documents(folder: Path) -> list[dict[str, Any]]:
    """All documents of all files of a folder."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.yaml")):
        found += YAML(typ="safe").load_all(path)
    return found


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """A value of a compose file, with what is set for `${NAME}`, `${NAME:-else}` and `${NAME:?why}`.

    Raises Missing.
    """

    def value(found: re.Match[str]) -> str:
        if text_given := given.get(found["name"]):
            return text_given
        if found["kind"] == ":?":
            raise Missing(f"{found['name']} {found['rest']}")
        return found["rest"] or ""

    return _REFERENCE.sub(value, text)


def of_compose(root: Path, given: Mapping[str, str], *more: str) -> dict[str, dict[str, str]]:
    """The environment of each service, by its name; `more` are files that are laid over the first.

    Raises Missing.
    """
    found: dict[str, dict[str, str]] = {}
    for name in (COMPOSE, *more):
        for service, has in yaml(root / name)["services"].items():
            found.setdefault(service, {}).update(has.get("environment") or {})
    return {
        service: {name: interpolated(str(value), given) for name, value in environment.items()}
        for service, environment in found.items()
    }


def stateful_set(root: Path) -> dict[str, Any]:
    """The one of Kubernetes."""
    (found,) = (each for each in documents(root / KUBERNETES) if each["kind"] == "StatefulSet")
    return dict(found)


def of_kubernetes(root: Path) -> dict[str, str | None]:
    """The environment of the container; None: it comes from elsewhere, such as a Secret."""
    (container,) = stateful_set(root)["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def directives(text: str, name: str) -> list[str]:
    """What a unit of systemd says for this name, in its order."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def of_unit(root: Path) -> dict[str, str]:
    """The environment that the unit sets."""
    said = directives((root / UNIT).read_text(), "Environment")
    return dict(pair.split("=", 1) for line in said for pair in shlex.split(line))


def of_railway(root: Path) -> dict[str, str]:
    """What the command sets by `env`; all else is set by Railway, and by hand."""
    command = shlex.split(json.loads((root / RAILWAY).read_text())["deploy"]["startCommand"])
    return dict(word.split("=", 1) for word in command[1:] if "=" in word)
