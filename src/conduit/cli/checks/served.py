"""What a server has said, judged. Pure: what the key may not see is never called good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from conduit.cli.checks.asked import SAMPLE_S, Answered
from conduit.cli.checks.attentive import dead_letters, partial, quotas, subscriptions
from conduit.cli.checks.finding import Finding, failure, ok, unseen, warning
from conduit.cli.checks.nodes import nodes
from conduit.cli.checks.own import any_page, is_loopback
from conduit.cli.checks.postgres import judge_clock
from conduit.cli.checks.refused import why_not
from conduit.cli.output import duration_text, size_text
from conduit.cli.server import without_password
from conduit.client import BadAnswer
from conduit.errors import ConduitError

if TYPE_CHECKING:
    from conduit.client import WhoAmI

CERTIFICATE_SOON_DAYS = 14
KEY_SOON_DAYS = 7
DAY_S = 86_400.0
# 99 of 100 publishes are answered in this time on a store that keeps up.
PUBLISH_SLOW_MS = 250.0
DISK_LOW_BYTES = 1_000_000_000
DISK_FULL_BYTES = 100_000_000


def judge(found: Answered, now: datetime) -> list[Finding]:
    """All that can be said of it; where it does not answer, that alone."""
    if isinstance(found.health, ConduitError):
        return [*_away(found), *certificate(found, now), unseen("all else", "there is no answer")]
    return [
        *_there(found, found.health),
        *_ready(found, found.health),
        *store(found.health, found.who),
        *latency(found.history),
        judge_clock(found.skew_s, found.took_s, "the server")
        if found.skew_s is not None
        else unseen(
            "clock",
            why_not(found.who, "a key")
            if isinstance(found.who, ConduitError)
            else "the server does not say its time",
        ),
        *authentication(found),
        *rights(found.who, now, has_key=found.has_key),
        *certificate(found, now),
        *nodes(found),
        *cluster(found.health),
        *subscriptions(found.attention),
        *dead_letters(found.attention),
        *quotas(found.attention),
    ]


def _away(found: Answered) -> list[Finding]:
    error = found.health
    assert isinstance(error, ConduitError)
    do = {
        "certificate_verify_failed": "SSL_CERT_FILE names the authority if it is one of your own; else renew "
        "the certificate",
        "tls_failed": "use http:// if the server has no TLS; else look at the proxy in front of it",
        "bad_answer": "the address leads to something else than Conduit: correct it",
    }.get(
        error.code,
        "look at the node itself (`systemctl status`, its log), then at the proxy and the network; "
        "`conduit doctor --here` on its machine looks at what a start needs",
    )
    return [failure("server", error.detail, do)]


def _there(found: Answered, health: dict[str, Any]) -> list[Finding]:
    version, node = health.get("version"), health.get("node_id")
    where = without_password(found.url)
    answers = (found.who, found.stats, found.history, found.attention, found.nodes)
    odd = next((each for each in answers if isinstance(each, BadAnswer)), None)
    if odd is not None:
        do = "look whether that is Conduit, and of this command's version"
        return [failure("server", f"{where}: {odd.detail}", do)]
    if version is None:
        return [ok("server", f"{where} answers"), unseen("version", "needs admin")]
    seen = f"{where} answers: node {node}, version {version}"
    if version != found.version:
        return [
            warning(
                "server",
                f"{seen}; this command is {found.version}",
                "use the command of the same version: another one may show less than there is",
            )
        ]
    return [ok("server", seen)]


def _ready(found: Answered, health: dict[str, Any]) -> list[Finding]:
    why = health.get("not_ready")
    if why is not None:
        code, detail = why.get("code", ""), why.get("detail", "")
    elif found.ready is not None:
        # Also where the other answer was a better one: it was another moment, or another server.
        code, detail = found.ready.code, found.ready.detail
    elif health.get("ready") is False:
        code, detail = "unavailable", "it does not say why"
    else:
        return [ok("ready", "it takes requests")]
    do = {
        "draining": "`conduit node undrain NODE` has it serve again, if that was not meant",
        "shutting_down": "wait: it stops, and whatever runs it starts it again",
        "store_unavailable": "look at the database: `conduit doctor --here` on the server's machine does",
    }.get(code, "look into the node's log")
    return [failure("ready", f"it refuses requests: {detail} (code {code})", do)]


def store(health: dict[str, Any], who: object = None) -> list[Finding]:
    """What it keeps, how safely, and how much room there is."""
    found = health.get("store")
    if not isinstance(found, dict):
        return [
            unseen(
                "store", why_not(who, "admin") if isinstance(who, ConduitError) else "needs admin"
            )
        ]
    kind, told = found.get("kind"), []
    if found.get("durable") is True:
        told.append(ok("store", f"{kind}; what is acknowledged is on disk"))
    else:
        do = (
            "set DATABASE_URL if messages are to be kept"
            if kind == "memory"
            else "switch fsync, full_page_writes and synchronous_commit on in PostgreSQL"
        )
        told.append(warning("store", f"{kind}; what is acknowledged may be lost", do))
    free = found.get("disk_free_bytes")
    if isinstance(free, int | float):
        seen = f"{size_text(int(free))} free where the database is"
        do = "free some, enlarge the disk, or keep less (`conduit topic change TOPIC --max-age 7d`)"
        if free < DISK_FULL_BYTES:
            told.append(failure("disk", f"{seen}: publishes are refused when it is full", do))
        else:
            told.append(warning("disk", seen, do) if free < DISK_LOW_BYTES else ok("disk", seen))
    elif kind == "sqlite":
        told.append(unseen("disk", "the server does not say how much is free"))
    return told


def latency(history: dict[str, Any] | ConduitError) -> list[Finding]:
    """How long publishes wait for the store, at worst of the last two minutes, or of what is known."""
    name = "store latency"
    if isinstance(history, ConduitError):
        return [unseen(name, why_not(history, "manage"))]
    samples = history.get("samples")
    if not samples:
        return [unseen(name, "the server has no history yet: ask again in some seconds")]
    lately = f"the last {duration_text(len(samples) * SAMPLE_S)}"
    taken = [each["publish_p99_ms"] for each in samples if each.get("publish_p99_ms") is not None]
    if not taken:
        is_idle = not any(each.get("messages_per_sec", True) for each in samples)
        why = (
            f"nothing was published in {lately}" if is_idle else "needs admin: it is of all tenants"
        )
        return [unseen(name, why)]
    worst = max(taken)
    seen = f"publishes were answered within {worst:.0f} ms (p99, the worst 5 s of {lately})"
    if worst <= PUBLISH_SLOW_MS:
        return [ok(name, seen), *partial(name, history)]
    return [
        warning(
            name,
            seen,
            "look at the database's disk and load; and whether one node gets more than it can do "
            "(`conduit top`)",
        )
    ]


def authentication(found: Answered) -> list[Finding]:
    """Whether keys are asked for."""
    name = "authentication"
    assert not isinstance(found.health, ConduitError)
    auth, parts = found.health.get("auth"), urlsplit(found.url)
    is_from_here = is_loopback(parts.hostname or "")
    if isinstance(auth, dict) and auth.get("enabled") is not True:
        if auth.get("open_to") == "network":
            return [
                failure(
                    name,
                    "off: whoever reaches the port can read, publish and delete everything",
                    "set ENABLE_AUTH=true, or CONDUIT_HOST=127.0.0.1",
                )
            ]
        # It may come in by a proxy on the server's machine.
        is_alone = is_from_here and auth.get("open_to") == "loopback"
        if not is_alone:
            return [_open(is_from_here=is_from_here)]
        told = [ok(name, "off, and only the server's own machine reaches it by its port")]
        return told if auth.get("pages") == "named" else [*told, any_page()]
    if isinstance(found.who, ConduitError) and found.who.code != "unauthenticated":
        return [unseen(name, found.who.detail)]
    if not isinstance(found.who, ConduitError) and found.who.actor == "anonymous":
        return [_open(is_from_here=is_from_here)]
    told = [ok(name, "on")]
    if parts.scheme == "http" and not is_from_here:
        told.append(
            warning(
                "TLS",
                "http:// to another machine: keys and messages can be read on the way",
                "put a proxy with TLS in front of it, and use https://",
            )
        )
    return told


def _open(*, is_from_here: bool) -> Finding:
    """Of a server that has let in who asks for this, without a key."""
    name = "authentication"
    if is_from_here:
        return unseen(name, "off; the server does not say who else reaches it")
    return failure(
        name,
        "off, and this address leads to it: whoever reaches that can read, publish and delete everything",
        "set ENABLE_AUTH=true, or have the proxy in front of it ask who comes",
    )


def rights(who: WhoAmI | ConduitError, now: datetime, *, has_key: bool) -> list[Finding]:
    """Whom the key stands for, what it may do, and for how long."""
    name = "key"
    if isinstance(who, ConduitError):
        if who.code == "unauthenticated" and has_key:
            return [
                failure(
                    name,
                    "the server does not know it: it was revoked, has expired, or is another server's",
                    "`conduit key ls` with another key says which; `conduit key create` makes one",
                )
            ]
        if who.code == "unauthenticated":
            return [
                warning(
                    name,
                    "none was given, so little can be looked at",
                    "CONDUIT_API_KEY, `--api-key -` or a context gives one; with admin, all is looked at",
                )
            ]
        return [unseen(name, who.detail)]
    if who.actor == "anonymous":
        return [ok(name, "none is asked for")]
    scopes = sorted({grant.scope for grant in who.scopes})
    seen = f"{who.actor} of tenant {who.tenant}: {', '.join(scopes) or 'no rights'}"
    if who.expires_at is None:
        return [ok(name, f"{seen}; it does not expire")]
    left_s = (datetime.fromisoformat(who.expires_at) - now).total_seconds()
    seen = f"{seen}; expires in {_about(left_s)}"
    if left_s < KEY_SOON_DAYS * DAY_S and not who.actor.startswith("token:"):
        return [
            warning(
                name,
                seen,
                "`conduit key change ID --expires 90d` lengthens it, or make another one",
            )
        ]
    return [ok(name, seen)]


def certificate(found: Answered, now: datetime) -> list[Finding]:
    """How long that of https lasts."""
    if found.certificate is None:
        return []
    if isinstance(found.certificate, ConduitError):
        return [unseen("certificate", found.certificate.detail)]
    left_s = (found.certificate - now).total_seconds()
    seen = f"ends in {_about(left_s)}, at {found.certificate.astimezone(UTC):%Y-%m-%d}"
    if left_s < CERTIFICATE_SOON_DAYS * DAY_S:
        return [
            warning("certificate", seen, "renew it, and look why that has not happened by itself")
        ]
    return [ok("certificate", seen)]


def cluster(health: dict[str, Any]) -> list[Finding]:
    """Links and registry, as the node that answers has them."""
    found = health.get("cluster")
    if not isinstance(found, dict):
        return []
    told = []
    if found.get("nodes", 1) > 1 and found.get("links", 0) < found["nodes"] - 1:
        told.append(
            warning(
                "links",
                f"{found.get('links', 0)} of {found['nodes'] - 1}. {found.get('detail', '')}",
                "look whether the nodes reach each other at their NODE_ADDR, and have the same "
                "INTERNAL_SECRET",
            )
        )
    elif found.get("nodes", 1) > 1:
        told.append(ok("links", f"{found['links']}, to each of the other nodes"))
    registry = found.get("registry")
    if isinstance(registry, dict):
        if registry.get("status") == "ok":
            told.append(ok("registry", "Redis is used"))
        else:
            told.append(
                warning(
                    "registry",
                    str(registry.get("detail", "Redis is not used")),
                    "nothing is lost meanwhile. `conduit doctor --here` on a node's machine looks at Redis",
                )
            )
    return told


def _about(seconds: float) -> str:
    if seconds <= 0:
        return "the past"
    for unit_s in (DAY_S, 3600.0, 60.0):
        if seconds >= unit_s:
            return duration_text(int(seconds / unit_s) * unit_s)
    return duration_text(seconds)
