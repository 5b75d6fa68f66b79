import logging
from contextlib import asynccontextmanager

import msgspec
import pytest

from conduit.core.access import KeyRecord
from conduit.errors import Unauthenticated
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.tenancy.accounts import KeyChange
from conduit.tenancy.claims import Claims
from conduit.tenancy.jwks import NO_KEYS
from conduit.tenancy.principal import Principal
from conduit.tenancy.remembered import REMEMBERED_MAX_BYTES, REMEMBERED_MAX_COUNT
from conduit.tenancy.tokens import Tokens, Wanted
from conduit.tenancy.verifier import Verifier
from tests.tenancy.kit import NOW_S
from tests.tenancy.provider import RSA, bearer, claims, verifier
from tests.tenancy.registered import OPERATOR, PEPPER, START_MS, Kit, another, running_kit

TOPIC = Grant(scope="publish", topics=("a.*",))
MAX_TTL_S = 86_400


class Server:
    """One that knows tokens, and the key that makes them."""

    def __init__(self, kit: Kit, key: KeyRecord, provider=None) -> None:
        self.kit, self.key = kit, key
        self.tokens = Tokens(PEPPER, MAX_TTL_S)
        self.verifier = Verifier(kit.registry, self.tokens, provider)
        kit.registry.tokens = self.verifier

    def token(self, *grants, tenant="default") -> bytes:
        made = {each.name: each.created_at_ms for each in self.kit.registry.tenants()}
        wanted = Wanted(
            tenant=tenant,
            tenant_since_ms=made.get(tenant, 0),
            key_id=self.key.key_id,
            grants=grants or (TOPIC,),
        )
        rights = self.kit.registry.good_key(self.key.key_id).grants
        return self.tokens.mint(wanted, rights, self.kit.clock.wall_ms())[0].encode()

    def who(self, token: bytes) -> Principal:
        return self.kit.registry.authenticate(token)

    def refuses(self, token: bytes) -> None:
        with pytest.raises(Unauthenticated):
            self.who(token)


@asynccontextmanager
async def running(*grants, provider=None, **spec):
    async with running_kit() as kit:
        made = await kit.key(*(grants or (Grant(scope="publish"),)), **spec)
        yield Server(kit, made.record, provider)


async def test_who_has_a_token_may_do_what_it_says():
    limits = TenantLimits(publishes_per_s=5)
    async with running(limits=limits) as server:
        token = server.token()
        who = server.who(token)
        assert who is server.who(token)
        assert (who.tenant, who.key_id, who.is_token) == ("default", server.key.key_id, True)
        assert who.actor.startswith("token:")
        assert who.expires_at_ms == START_MS + 900_000
        assert who.limits == limits
        assert who.is_bounded
        assert not who.is_over
        assert who.may("publish", "a.b")
        assert not who.may("publish", "b")
        assert not who.may("subscribe")
        who.check_publish("a.b", START_MS)
        assert server.kit.registry.renewed(who) is who


async def test_a_token_ends_in_its_time():
    async with running() as server:
        token = server.token()
        who = server.who(token)
        server.kit.clock.pass_s(900)
        server.refuses(token)
        assert who.is_expired(server.kit.clock.wall_ms())
        with pytest.raises(Unauthenticated):
            who.check_publish("a.b", server.kit.clock.wall_ms())
        with pytest.raises(Unauthenticated):
            server.kit.registry.renewed(who)


async def test_a_token_ends_with_its_key_on_every_server():
    async with running() as server:
        token = server.token()
        other = Server(another(server.kit), server.key)
        await other.kit.registry.refresh()
        people = [each.who(token) for each in (server, other)]
        await server.kit.accounts.revoke_key(OPERATOR, server.key.key_id)
        await other.kit.registry.refresh()
        for who, each in zip(people, (server, other), strict=True):
            assert who.is_over
            each.refuses(token)
            with pytest.raises(Unauthenticated):
                each.kit.registry.renewed(who)
            with pytest.raises(Unauthenticated):
                who.check_publish("a.b", START_MS)


async def test_a_token_ends_when_its_key_expires():
    async with running(expires_at_ms=START_MS + 10_500) as server:
        token = server.token()
        who = server.who(token)
        assert who.expires_at_ms == START_MS + 900_000
        server.kit.clock.pass_s(10.5)
        assert who.is_over
        server.refuses(token)


async def test_a_key_that_is_changed_gives_its_tokens_less_or_goes_on():
    async with running() as server:
        token, key_id = server.token(), server.key.key_id
        who = server.who(token)
        more = KeyChange(limits=TenantLimits(publishes_per_s=7))
        await server.kit.accounts.change_key(OPERATOR, key_id, more)
        assert who.is_over
        again = server.kit.registry.renewed(who)
        assert not again.is_over
        assert again.limits.publishes_per_s == 7
        assert server.who(token).limits.publishes_per_s == 7
        less = KeyChange(grants=(Grant(scope="publish", topics=("b",)),))
        await server.kit.accounts.change_key(OPERATOR, key_id, less)
        server.refuses(token)
        with pytest.raises(Unauthenticated):
            server.kit.registry.renewed(again)


async def test_a_rotated_key_keeps_its_tokens():
    async with running() as server:
        token = server.token()
        who = server.who(token)
        await server.kit.accounts.rotate_key(OPERATOR, server.key.key_id, 0)
        assert server.kit.registry.renewed(who).may("publish", "a.b")
        assert server.who(token).may("publish", "a.b")


async def test_a_token_is_for_its_keys_tenant_unless_the_key_is_an_operators():
    async with running() as server:
        await server.kit.tenant("acme")
        server.refuses(server.token(tenant="acme"))
    async with running(Grant(scope="admin")) as server:
        await server.kit.tenant("acme")
        token = server.token(tenant="acme")
        who = server.who(token)
        assert who.tenant == "acme"
        assert not who.may("admin")
        server.refuses(server.token(tenant="nobody"))
        await server.kit.accounts.delete_tenant("acme")
        assert who.is_over
        server.refuses(token)
        with pytest.raises(Unauthenticated):
            server.kit.registry.renewed(who)


async def test_a_token_that_names_no_durable_subscription_has_none():
    async with running(Grant(scope="subscribe")) as server:
        who = server.who(server.token(Grant(scope="subscribe")))
        assert who.may_subscribe("a", None)
        assert not who.may_subscribe("a", "web")
        narrow = Grant(scope="subscribe", subscriptions=("web",))
        assert server.who(server.token(narrow)).may_subscribe("a", "web")


async def test_claims_that_were_kept_are_looked_at_again():
    async with running() as server:
        token = server.token()
        kept = msgspec.msgpack.encode(server.who(token).claims)
        found = msgspec.msgpack.decode(kept, type=Claims)
        assert server.verifier.admitted(found, START_MS).may("publish", "a.b")
        with pytest.raises(Unauthenticated):
            server.verifier.admitted(found, found.expires_at_ms)
        await server.kit.accounts.revoke_key(OPERATOR, server.key.key_id)
        with pytest.raises(Unauthenticated):
            server.verifier.admitted(found, START_MS)


async def test_a_token_of_a_provider_is_for_a_tenant_that_there_is(caplog):
    caplog.set_level(logging.INFO)
    async with running(provider=verifier()) as server:
        server.kit.clock.ms = int(NOW_S * 1_000)
        token = bearer(RSA, claims(sub="jörg")).encode()
        server.refuses(token)
        assert "names no tenant of this server" in caplog.text
        await server.kit.tenant("acme")
        who = server.who(token)
        assert who is server.who(token)
        assert (who.tenant, who.actor, who.key_id) == ("acme", "token:jörg", None)
        assert who.is_token
        kept = who.claims
        assert server.kit.registry.renewed(who) is who
        await server.kit.accounts.change_tenant("acme", TenantLimits(topics=1))
        assert who.is_over
        assert not server.kit.registry.renewed(who).is_over
        await server.kit.accounts.delete_tenant("acme")
        for refused in (
            server.verifier.admitted,
            Verifier(server.kit.registry, server.tokens).admitted,
        ):
            with pytest.raises(Unauthenticated):
                refused(kept, int(NOW_S * 1_000))
        server.refuses(token)


async def test_whose_key_the_provider_withdraws_is_over_and_goes_on_only_by_what_was_kept():
    provider = verifier()
    async with running(provider=provider) as server:
        await server.kit.tenant("acme")
        server.kit.clock.ms = int(NOW_S * 1_000)
        token = bearer(RSA).encode()
        who = server.who(token)
        own = server.who(server.token())
        provider._keyring._succeeded(NO_KEYS)
        # A connection that has the token shows it again, and it is refused ...
        assert who.is_over
        assert not own.is_over
        server.refuses(token)
        # ... and a WebSocket, which has none, stays until its time is over.
        kept = server.kit.registry.renewed(who)
        assert not kept.is_over
        assert server.kit.registry.renewed(kept) is kept


async def test_without_a_provider_only_tokens_of_ours_count():
    async with running() as server:
        await server.kit.tenant("acme")
        server.kit.clock.ms = int(NOW_S * 1_000)
        server.refuses(bearer(RSA).encode())
        server.refuses("eyJé".encode())
        who = Server(server.kit, server.key, verifier()).who(bearer(RSA).encode())
        server.verifier = Verifier(server.kit.registry, server.tokens)
        with pytest.raises(Unauthenticated):
            server.verifier.renewed(who, int(NOW_S * 1_000))
        with pytest.raises(Unauthenticated):
            server.verifier.renewed(OPERATOR, START_MS)


async def test_who_was_ended_is_over():
    async with running() as server:
        token = server.token()
        who = server.who(token)
        who.end()
        assert who.is_over
        assert server.who(token) is not who


async def test_no_more_are_remembered_than_may_be():
    async with running() as server:
        server.who(server.token())
        (some,) = server.verifier._principals.values()
        for _ in range(REMEMBERED_MAX_COUNT):
            server.verifier.admitted(msgspec.structs.replace(some.claims), START_MS)
        assert len(server.verifier._principals) == REMEMBERED_MAX_COUNT
        assert some not in server.verifier._principals.values()


async def test_those_with_many_patterns_are_fewer():
    patterns = tuple(f"a.{number}.".ljust(99, "x") + "." for number in range(64))
    large = Grant(scope="subscribe", topics=patterns[:32]), Grant(scope="publish", topics=patterns)
    async with running() as server:
        server.who(server.token())
        (small,) = server.verifier._principals.values()
        claims = msgspec.structs.replace(small.claims, grants=large)
        assert claims.patterns_bytes == 9_600
        most = REMEMBERED_MAX_BYTES // 9_600
        for _ in range(2 * most):
            server.verifier._principal(msgspec.structs.replace(claims), START_MS)
        assert len(server.verifier._principals) == most
        # What is gone is not counted any more.
        for _ in range(REMEMBERED_MAX_COUNT):
            server.verifier._principal(msgspec.structs.replace(small.claims), START_MS)
        assert len(server.verifier._principals) == REMEMBERED_MAX_COUNT


async def test_one_that_is_made_again_counts_once():
    async with running() as server:
        token = server.token()
        for _ in range(3):
            server.who(token).end()
        (some,) = server.verifier._principals.values()
        assert server.verifier._bytes == some.claims.patterns_bytes == len("a.*")
