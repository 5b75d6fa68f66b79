"""`python -m tools.cluster`: what `make cluster` runs."""

from __future__ import annotations

import argparse
import errno
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.cluster import folder, parts
from tools.cluster.folder import Unusable
from tools.cluster.running import Asked, Cluster

NODES_MAX = 16
DEFAULTS = {"NODES": "3", "PORT": "8080"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a cluster until Ctrl-C; returns the exit code."""
    asked = Asked()
    try:
        options = _options(arguments)
        ports = ports_from(options.port, options.nodes + 1)
        if missing := parts.missing():
            raise Unusable(f"{', '.join(missing)} of Debian is missing: make cluster installs it")
        with asked.listening(), folder.opened(options.keep) as place:
            return Cluster(place, ports, asked, with_auth=place.asks_for_keys(options.auth)).run()
    except Unusable as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.cluster",
        description="Nodes of Conduit, PostgreSQL, Redis and nginx in front, until Ctrl-C.",
    )
    parser.add_argument(
        "--port",
        default=DEFAULTS["PORT"],
        help="nginx's; the nodes have those that follow; 0: any that are free (%(default)s)",
    )
    parser.add_argument("--nodes", default=DEFAULTS["NODES"], help="how many (%(default)s)")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="a folder for its data, to start it again with them",
    )
    parser.add_argument(
        "--auth",
        help="true: it asks for a key, and the operator's is in its folder; as the last time, else false",
    )
    options = parser.parse_args(arguments)
    if options.auth not in (None, "true", "false"):
        raise Unusable(
            f"AUTH is {options.auth!r}, and must be true or false: make cluster AUTH=true"
        )
    options.nodes = _number("NODES", options.nodes, 1, NODES_MAX)
    options.port = _number("PORT", options.port, 0, (1 << 16) - 1 - options.nodes)
    return options


def _number(variable: str, text: str, least: int, most: int) -> int:
    """What a variable of make says. Raises Unusable."""
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Unusable(
            f"{variable} is {text!r}, and must be {least} to {most}:"
            f" make cluster {variable}={DEFAULTS[variable]}"
        )
    return int(text)


def ports_from(first: int, count: int) -> list[int]:
    """So many ports of loopback on which nothing listens. Raises Unusable, with all that are taken."""
    taken, found = [], []
    with ExitStack() as stack:
        for port in range(first, first + count) if first else [0] * count:
            probe = stack.enter_context(socket.socket())
            # As servers do; what listens is in the way nevertheless.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((parts.HOST, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                taken.append(str(port))
                continue
            found.append(int(probe.getsockname()[1]))
    if taken:
        nodes = "" if str(count - 1) == DEFAULTS["NODES"] else f" NODES={count - 1}"
        are = f"port {taken[0]} is" if len(taken) == 1 else f"ports {', '.join(taken)} are"
        raise Unusable(
            f"{are} taken; it needs {first} to {first + count - 1}, or as many from another:"
            f" make cluster PORT=9000{nodes}"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
