"""The steps of a Dockerfile, each done in a bare Debian that stands in for the image that it begins with.

What an engine would do with an instruction is done by chroot(8), with the user, folder and environment that
the lines before have set. Runs in namespaces of its own: see `tools.bare_root.alone`.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from tools.bare_root import ENVIRONMENT
from tools.image import context
from tools.image.dockerfile import Instruction, Stage

STEP_WITHIN_S = 900.0
# What is shown of a step that failed.
TOLD_MAX_CHARS = 6000
# Only these come from this machine: where packages are, while the image is made. The image has none of them.
_SHELL_ENVIRONMENT = {"PATH": ENVIRONMENT["PATH"]}


class StepError(Exception):
    """A step has failed; the text says which, and what it has said."""


class Made:
    """What a stage has come to: its folder, and what the next step has to know."""

    def __init__(self, root: Path, machine_environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = dict(_SHELL_ENVIRONMENT)
        self.user = "root"
        self.folder = "/"
        self._of_machine = machine_environment

    def command(self, words: list[str], **more: str) -> list[str]:
        """The words, as the image would run them; `more` are variables that are given from outside."""
        settings = {"HOME": self._home(), **self.environment, **more}
        pairs = [f"{name}={value}" for name, value in settings.items()]
        into = f"cd {shlex.quote(self.folder)} && exec {shlex.join(words)}"
        enter = ["chroot", f"--userspec={self.user}", str(self.root)]
        return [*enter, "/usr/bin/env", "-i", *pairs, "/bin/sh", "-c", into]

    def run(self, words: list[str]) -> None:
        """To its end, with this machine's settings for packages. Raises StepError."""
        done = subprocess.run(
            self.command(words, **self._of_machine),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=STEP_WITHIN_S,
            check=False,
        )
        if done.returncode:
            told = (done.stdout + done.stderr)[-TOLD_MAX_CHARS:]
            raise StepError(f"{shlex.join(words)}: exit code {done.returncode}\n{told}")

    def _home(self) -> str:
        for line in (self.root / "etc/passwd").read_text().splitlines():
            name, _, uid, _, _, home, _ = line.split(":")
            if self.user.partition(":")[0] in (name, uid):
                return home
        raise StepError(f"there is no user {self.user}")


class Image:
    """The stages that are made so far, by name."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._stages: dict[str, Made] = {}

    def make(self, stage: Stage, made: Made, say: Callable[[str], None]) -> None:
        """Every instruction of the stage, in its order. Raises StepError, or NothingToCopyError."""
        self._stages[stage.name] = made
        for instruction in stage.instructions:
            began = time.monotonic()
            self._do(instruction, made)
            text = f"{instruction.keyword} {instruction.text}"
            say(f"{time.monotonic() - began:6.1f} s  {stage.name}: {text[:110]}")

    def _do(self, instruction: Instruction, made: Made) -> None:
        environment = made.environment
        match instruction.keyword:
            case "RUN":
                made.run(instruction.command())
            case "COPY":
                self._copy(instruction, made)
            case "ENV":
                environment.update(instruction.pairs(environment))
            case "USER":
                (made.user,) = instruction.words(environment)
            case "WORKDIR":
                (folder,) = instruction.words(environment)
                made.folder = str(PurePosixPath(made.folder, folder))
                (made.root / made.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "VOLUME":
                for folder in instruction.words(environment):
                    (made.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "STOPSIGNAL":
                signal.Signals[instruction.text]
            # What they say is only read, or done when the image runs.
            case "LABEL" | "EXPOSE" | "HEALTHCHECK" | "CMD":
                pass

    def _copy(self, instruction: Instruction, made: Made) -> None:
        *sources, target = instruction.words(made.environment)
        is_folder = target.endswith("/") or target == "."
        target = str(PurePosixPath(made.folder, target)) + ("/" if is_folder else "")
        if "from" not in instruction.flags:
            context.copy(self._project, sources, made.root, target)
            return
        # As root, with modes and links as they are.
        to = made.root / target.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            there = self._stages[instruction.flags["from"]].root / source.lstrip("/")
            done = subprocess.run(
                ["cp", "--archive", "--no-target-directory", str(there), str(to)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise StepError(f"COPY {instruction.text}: {done.stderr}")
