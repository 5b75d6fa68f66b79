"""The server process: what is made of the settings, and in which order."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack

import uvloop

from conduit import redaction
from conduit.broker.administer.retention import RetentionRules
from conduit.broker.broker import Broker, BrokerOptions
from conduit.broker.clock import SystemClock
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.waiting import Slots
from conduit.cluster.this_node import ThisNode
from conduit.core.message import Retention
from conduit.limits import read_limits
from conduit.names import DEFAULT_TENANT
from conduit.server.context import Context, Limits
from conduit.server.files import Files, allow_files
from conduit.server.first_key import offer_first_key, secret_of, warn_of_open_keys
from conduit.server.joining import Cluster, make_node, serve_as
from conduit.server.logs import configure_logging, flush_logs, log_uncaught
from conduit.server.meeting import meet_others
from conduit.server.serving import Server
from conduit.server.tracing import open_tracing
from conduit.server.workers.ports import bind
from conduit.server.workers.worker import Worker
from conduit.settings import Settings
from conduit.storage.base import Store
from conduit.storage.dead_letters import DeadBounds
from conduit.storage.memory import MemoryStore
from conduit.storage.sqlite import SqliteStore
from conduit.tenancy.audit import Audit, Origin
from conduit.tenancy.cleaning import Cleaner
from conduit.tenancy.opening import AuthOptions, Tenancy, open_tenancy
from conduit.tenancy.principal import Principal

logger = logging.getLogger(__name__)

# Made at the same time: each is a commit, and what others publish waits for it.
TICKETS_MAX_COUNT = 2
# Who does what the server does by itself, in the audit log.
SERVER = Principal(DEFAULT_TENANT, "server", ())


def run(settings: Settings, *, may_color: bool = True, worker: Worker | None = None) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; the log has colours if it `may_color`. `worker`: which of
    several this is. Raises ConduitError, OSError if that cannot begin or go on."""
    redaction.know(*settings.secrets)
    number = None if worker is None else worker.number
    configure_logging(settings.log_level, settings.log_format, may_color=may_color, worker=number)
    log_uncaught()
    tells = worker is None or worker.tells
    if worker is not None:
        worker.quieten()
        worker.begin()
    if tells:
        for warning in settings.warnings:
            logger.warning(warning)
    if settings.database_url is None:
        logger.warning(
            "DATABASE_URL is not set: everything is in memory, and is gone when this process ends"
        )
    files = allow_files(settings.max_connections, len(settings.postgres_urls), tells=tells)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, files, worker))
    finally:
        # Before the command says with which error it ends.
        flush_logs()


async def _serve(settings: Settings, files: Files, worker: Worker | None) -> None:
    clock = SystemClock()
    tells = worker is None or worker.tells
    async with AsyncExitStack() as ends:
        # Before the store is opened: a second server must not touch the database of the first.
        listeners, operators = _listeners(settings, worker, ends)
        port = listeners[0].getsockname()[1]
        node = make_node(settings, port, clock.wall_ms(), worker)
        tracing = open_tracing(settings, clock, node.name)
        if tracing is not None:
            ends.push_async_callback(tracing.close)
        traces = None if tracing is None else tracing.traces
        broker = Broker(make_store(settings), clock, _options(settings), traces)
        cleaner = Cleaner(broker.store, broker.clock, settings.audit_max_age_s)
        context = _context(settings, broker, files, node)
        context.tracing = tracing
        server = Server(
            context,
            stop_within_s=settings.shutdown_timeout_s,
            drain_delay_s=settings.drain_delay_s,
            database_place=settings.database_place,
            operators=operators,
            worker=worker,
        )
        ends.push_async_callback(broker.stop)
        await broker.start()
        if broker.store.nodes is not None:
            cluster = Cluster(context, settings)
            ends.push_async_callback(cluster.end)
            await cluster.begin(node, broker.store.nodes)
            ends.push_async_callback(node.close)
            # Before the lease is given up: others go on where the progress is.
            ends.push_async_callback(broker.finish)
            ends.push_async_callback(cluster.leave)
        elif settings.meets_in_redis:
            meeting = await meet_others(context, node, settings)
            ends.push_async_callback(meeting.stop)
            # Before the others are told nothing more: what was published is for them too.
            ends.push_async_callback(broker.finish)
        ends.push_async_callback(context.audit.close)
        await context.audit.start()
        ends.push_async_callback(cleaner.close)
        await cleaner.start()
        if settings.enable_auth:
            tenancy = await _begin_auth(settings, broker, context.audit, is_first=tells)
            ends.push_async_callback(tenancy.close)
            context.require(tenancy)
        elif tells:
            await warn_of_open_keys(broker.store)
        await serve_as(node, server, listeners)
    if worker is None:
        logger.info("stopped")


async def _begin_auth(
    settings: Settings, broker: Broker, audit: Audit, *, is_first: bool
) -> Tenancy:
    """Who may come in, as the store has it. `is_first`: no other worker has seen to the first key. Raises
    ConduitError, OSError."""
    options = AuthOptions(
        default_key=secret_of(settings.default_api_key),
        pepper=settings.pepper,
        token_max_ttl_s=settings.token_max_ttl_s,
        provider=settings.identity_provider,
    )
    tenancy = await open_tenancy(
        broker.store, broker.clock, options, Slots(TICKETS_MAX_COUNT), broker.allowances
    )
    try:
        tenancy.registry.catching_up.may_be_shared = lambda: broker.news.may_share_log
        key = await offer_first_key(settings, tenancy) if is_first else None
        if key is not None:
            await audit.done(SERVER, Origin(), "key.create", key.key_id, name=key.name)
    except BaseException:
        await tenancy.close()
        raise
    return tenancy


def make_store(settings: Settings) -> Store:
    """The store that is set; it is not open yet."""
    if settings.postgres_urls:
        # Not on top: it takes asyncpg, which others can do without.
        from conduit.storage.postgres import PostgresStore

        return PostgresStore(
            *settings.postgres_urls,
            allow_unsafe=settings.allow_unsafe_database,
            keys_window_s=settings.idempotency_window_s,
        )
    if settings.database_path is not None:
        return SqliteStore(settings.database_path)
    return MemoryStore(
        max_messages=settings.memory_max_messages,
        max_bytes=settings.memory_max_bytes,
        max_keys=settings.idempotency_max_count,
    )


def _options(settings: Settings) -> BrokerOptions:
    return BrokerOptions(
        publish=PublishLimits(
            max_payload_bytes=settings.max_payload_bytes,
            max_json_depth=settings.max_json_depth,
            max_batch_count=settings.max_batch_count,
            auto_create_topics=settings.auto_create_topics,
            timeout_s=settings.publish_timeout_s,
        ),
        retention=_default_retention(settings),
        housekeeping=RetentionRules(
            interval_s=settings.retention_interval_s,
            idempotency_window_s=settings.idempotency_window_s,
            dead_max_age_s=settings.dead_letter_max_age_s,
            dead_bounds=DeadBounds(
                max_count=settings.dead_letter_max_count,
                max_bytes=settings.dead_letter_max_bytes,
                ephemeral_max_count=settings.ephemeral_dead_letter_max_count,
                ephemeral_max_bytes=settings.ephemeral_dead_letter_max_bytes,
            ),
        ),
        max_topics=settings.max_topics,
        max_subscriptions=settings.max_subscriptions,
        delivery_memory_max_bytes=settings.delivery_memory_max_bytes,
        max_subscriptions_per_connection=settings.max_subscriptions_per_connection,
        max_pending_retries=settings.max_pending_retries,
        idempotency_window_s=settings.idempotency_window_s,
        idempotency_max_count=settings.idempotency_max_count,
        tenant_limits=read_limits(settings.tenant_limits),
        metrics_max_subscriptions=settings.metrics_max_subscriptions,
        workers=settings.workers,
    )


def _context(settings: Settings, broker: Broker, files: Files, node: ThisNode) -> Context:
    given = settings.model_dump() | {"max_connections": files.connection_count}
    context = Context(
        broker,
        Limits(**{name: given[name] for name in Limits.__struct_fields__}),
        default_retention=_default_retention(settings),
        cors_origin=settings.cors_origin,
        node=node,
        spare_max_count=files.spare_count,
    )
    context.gate.internal_secrets = settings.internal_secrets
    return context


def _default_retention(settings: Settings) -> Retention:
    return Retention(
        max_age_s=settings.retention_max_age_s,
        max_messages=settings.retention_max_messages,
        max_bytes=settings.retention_max_bytes,
    )


def _listeners(
    settings: Settings, worker: Worker | None, ends: AsyncExitStack
) -> tuple[list[socket.socket], socket.socket | None]:
    """Bound, and closed at the end: the port for everybody and, of a worker, its own; the operator's, or
    None. Raises OSError."""

    def bound(host: str, port: int) -> socket.socket:
        return ends.enter_context(bind(host, port, is_shared=worker is not None))

    found = [bound(settings.host, settings.port)]
    admin_port = settings.admin_port
    if worker is not None:
        found.append(bound(worker.place.host, worker.place.port))
        admin_port = worker.place.admin_port
    return found, None if admin_port is None else bound(settings.admin_host, admin_port)
