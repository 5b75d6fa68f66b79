"""The image runs: what it serves, whether its health check knows, how it ends.

Its root is read-only, as docker-compose.yml and the Kubernetes manifest have it; /tmp and /data are not.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

from tools.image.dockerfile import Stage
from tools.image.steps import Made, StepError

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
# Of the whole health check, beyond what it allows itself.
CHECK_WITHIN_S = 30.0
WRITABLE = ("tmp", "data")
PAGE_ASSETS = re.compile(r"""(?:src|href)="([^"]*/assets/[^"]+)""")


def serve(stage: Stage, made: Made, say: Callable[[str], None]) -> None:
    """Start the CMD, use it, stop it. Raises StepError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    check = _check_command(stage, made, port)
    with _read_only(made):
        cmd = stage.last("CMD").command()
        settings = {"PORT": port, "CONDUIT_HOST": "127.0.0.1"}
        server = subprocess.Popen(
            made.command(cmd, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            _until_healthy(check, server)
            say("the health check of the image is content")
            _use(f"http://127.0.0.1:{port}", say)
            server.send_signal(signal.Signals[stage.last("STOPSIGNAL").text])
            said, _ = server.communicate(timeout=STOP_WITHIN_S)
        finally:
            server.kill()
        if server.returncode != 0:
            raise StepError(f"{cmd} ended with {server.returncode}:\n{said}")
        if _checked(check) == 0:
            raise StepError("the health check is content with a server that has ended")
    say("it ended when it was asked to, and the health check says so")


def _check_command(stage: Stage, made: Made, port: str) -> list[str]:
    check = stage.last("HEALTHCHECK")
    if not check.text.startswith("CMD "):
        raise StepError(f"line {check.line}: {check.text} is no health check")
    rest = check.text.removeprefix("CMD ")
    return made.command(
        type(check)(check.line, "CMD", {}, rest).command(), PORT=port, CONDUIT_HOST="127.0.0.1"
    )


def _checked(command: list[str]) -> int:
    done = subprocess.run(command, capture_output=True, timeout=CHECK_WITHIN_S, check=False)
    return done.returncode


def _until_healthy(check: list[str], server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while _checked(check) != 0:
        if server.poll() is not None:
            said, _ = server.communicate()
            raise StepError(f"the server ended with {server.returncode}:\n{said}")
        if time.monotonic() > deadline:
            raise StepError(f"the health check was not content for {READY_WITHIN_S:.0f} s")


def _use(url: str, say: Callable[[str], None]) -> None:
    """The dashboard with all that its page loads; a durable message, published and read again."""
    page = _answer(f"{url}/ui/").decode()
    assets = [urllib.parse.urljoin(f"{url}/ui/", name) for name in PAGE_ASSETS.findall(page)]
    files = [_answer(asset) for asset in assets]
    # For a path that is not there the page itself is the answer.
    if not files or page.encode() in files:
        raise StepError(f"the dashboard's page has not what it loads: {assets}\n{page}")
    say(f"the dashboard is there: {len(files)} files, {sum(map(len, files)) // 1024} KiB")
    _answer(f"{url}/api/topics", {"name": "demo"})
    receipt = json.loads(_answer(f"{url}/api/publish", {"topic": "demo", "payload": {"n": 1}}))
    stored = json.loads(_answer(f"{url}/api/topics/demo/messages"))["messages"]
    if not receipt["durable"] or [each["payload"] for each in stored] != [{"n": 1}]:
        raise StepError(f"published: {receipt}; stored: {stored}")
    say("a message was published, stored and read again")


def _answer(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError as error:
        raise StepError(f"{url}: {error.code} {error.read()!r}") from None


@contextlib.contextmanager
def _read_only(made: Made) -> Iterator[None]:
    """Nothing of the root can be written but the folders that are meant for that."""
    root = str(made.root)
    _mount("--bind", root, root)
    for name in WRITABLE:
        _mount("--bind", f"{root}/{name}", f"{root}/{name}")
    _mount("-o", "remount,bind,ro", root)
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", root], check=False, capture_output=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"mount {' '.join(words)}: {done.stderr}")
