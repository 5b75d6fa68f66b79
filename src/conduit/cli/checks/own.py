"""What the settings say by themselves: judged without a look at anything else."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from conduit.cli.checks.finding import Finding, failure, ok, warning
from conduit.settings import Settings

# `openssl rand -hex 32` has 64; half of that cannot be guessed, and a word or two can.
STRONG_SECRET_CHARS = 32
STRONG_SECRET_KINDS = 8

SECRETS = "INTERNAL_SECRET"


def settings(problems: Sequence[str], warnings: Sequence[str]) -> list[Finding]:
    """What is wrong with variables, each by itself."""
    found = [
        failure("settings", each, "correct it: `conduit settings` lists what may be set")
        for each in problems
    ]
    found += [
        warning("settings", each, "correct the name, or unset it if nothing was meant")
        if "is not a setting" in each
        else Finding("settings", "warning", each)
        for each in warnings
    ]
    return found or [ok("settings", "all can be used")]


def access(of: Settings) -> list[Finding]:
    """Who may do everything, and whose pages may call."""
    is_local = is_loopback(of.host)
    where = f"listens on {of.host}"
    found = []
    if of.enable_auth:
        found.append(ok("authentication", f"on; {where}"))
    elif is_local:
        found.append(
            ok("authentication", f"off, and {where}: only this machine reaches it by its port")
        )
    else:
        found.append(
            failure(
                "authentication",
                f"off, and {where}: whoever reaches port {of.port} can read, publish and delete everything",
                "set ENABLE_AUTH=true, or CONDUIT_HOST=127.0.0.1 if only this machine should reach it",
            )
        )
    if of.cors_origin != "*":
        found.append(ok("browsers", "pages of the origins in CORS_ORIGIN may call"))
    elif of.enable_auth:
        found.append(
            ok("browsers", "pages of any origin may call, each with a key or token of its own")
        )
    else:
        found.append(any_page())
    if of.admin_port is not None and not is_loopback(of.admin_host):
        found.append(
            warning(
                "operators' port",
                f"CONDUIT_ADMIN_PORT listens on {of.admin_host}, where no key is asked for",
                "set CONDUIT_ADMIN_HOST=127.0.0.1, or let a firewall keep others away",
            )
        )
    return found


def any_page() -> Finding:
    """Of a server that asks for no key, and whose pages are not named."""
    return warning(
        "browsers",
        "CORS_ORIGIN is *, and no key is asked for: any page that somebody here opens can use the server",
        "set CORS_ORIGIN to the origins of your pages, as https://app.example",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def secret(of: Settings) -> list[Finding]:
    """Whether nodes can trust each other, where there may be several."""
    if not of.internal_secrets:
        if not of.postgres_urls:
            return []
        return [
            ok(
                SECRETS,
                "not set, which is right for one node alone. Several need the same one, or what is "
                "published at one comes to the others a second later: `openssl rand -hex 32` makes one",
            )
        ]
    weak = [
        number
        for number, each in enumerate(of.internal_secrets, 1)
        if len(each) < STRONG_SECRET_CHARS or len(set(each)) < STRONG_SECRET_KINDS
    ]
    if not weak:
        return [ok(SECRETS, "set, and long enough")]
    which = "it" if len(of.internal_secrets) == 1 else f"number {weak[0]} of its secrets"
    return [
        warning(
            SECRETS,
            f"{which} has fewer than {STRONG_SECRET_CHARS} characters, or repeats a few of them: whoever "
            "guesses it is a node, and reads and writes everything",
            "make one with `openssl rand -hex 32`, put it beside the old one on all nodes, then take the old "
            "one away",
        )
    ]


def store(of: Settings) -> list[Finding]:
    """Whether anything is kept."""
    if of.database_place is not None:
        kind = "PostgreSQL" if of.postgres_urls else "SQLite"
        return [ok("store", f"{kind}, {of.database_place}")]
    return [
        warning(
            "store",
            "DATABASE_URL is not set: all messages are in memory, and gone when the process ends",
            "set DATABASE_URL, as sqlite:///data/conduit.db, if they are to be kept",
        )
    ]
