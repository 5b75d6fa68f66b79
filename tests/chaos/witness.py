"""What the database sees of the nodes: triggers of its superuser note each lease, claim and write of
progress.

A claim and a lease are one row each, which the next one overwrites; looked at from time to time, what
counts would be missed. The tables are those of the nodes: what a trigger notes is committed with what it is
about.
"""

from __future__ import annotations

import time

from tests.chaos.history import Claimed, ClusterHistory, Leased, Wrote
from tests.chaos.world import World

# `owner` is not a column of the first versions of the table.
_MAKE = """
CREATE SCHEMA witness;
CREATE TABLE witness.seen (
  at timestamptz, kind text, name text, incarnation text, number bigint, until timestamptz, address inet);
CREATE FUNCTION witness.lease() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO witness.seen VALUES (clock_timestamp(), 'lease', NEW.name, NEW.incarnation, 0, NEW.lease_until);
  RETURN NULL;
END $$;
CREATE FUNCTION witness.claim() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO witness.seen VALUES (
    clock_timestamp(), 'claim', NEW.name, to_jsonb(NEW) ->> 'owner', NEW.fence);
  RETURN NULL;
END $$;
CREATE FUNCTION witness.progress() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  INSERT INTO witness.seen VALUES (
    clock_timestamp(), 'wrote', NEW.subscription_id::text, NULL, 0, NULL, inet_client_addr());
  RETURN NULL;
END $$;
CREATE TRIGGER witness AFTER INSERT OR UPDATE ON conduit.nodes
  FOR EACH ROW EXECUTE FUNCTION witness.lease();
CREATE TRIGGER witness AFTER INSERT OR UPDATE ON conduit.subscriptions
  FOR EACH ROW EXECUTE FUNCTION witness.claim();
CREATE TRIGGER witness AFTER INSERT OR UPDATE ON conduit.progress
  FOR EACH ROW EXECUTE FUNCTION witness.progress();
ALTER TABLE conduit.nodes ENABLE ALWAYS TRIGGER witness;
INSERT INTO witness.seen
  SELECT clock_timestamp(), 'lease', name, incarnation, 0, lease_until FROM conduit.nodes;
"""
_EPOCH = "extract(epoch FROM {})"
_LEASES = f"""SELECT name, incarnation, {_EPOCH.format("at")}, {_EPOCH.format("until")}
FROM witness.seen WHERE kind = 'lease' ORDER BY at"""
_CLAIMS = f"""SELECT name, coalesce(incarnation, ''), number, {_EPOCH.format("at")}
FROM witness.seen WHERE kind = 'claim' ORDER BY at"""
_WRITES = f"""SELECT s.name, host(w.address), {_EPOCH.format("w.at")}
FROM witness.seen AS w JOIN conduit.subscriptions AS s ON s.subscription_id::text = w.name
WHERE w.kind = 'wrote' ORDER BY w.at"""


def install(world: World) -> None:
    """Begin; the nodes have made their tables."""
    world.sql(_MAKE)


def tell(world: World, history: ClusterHistory) -> None:
    """Add all that was noted to the history."""
    # Of the same machine: its wall clock does not jump in a run.
    ahead = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
    names: dict[str, str] = {}
    for name, incarnation, at, until in _rows(world, _LEASES):
        names[incarnation] = name
        history.leased.append(Leased(name, incarnation, float(at) - ahead, float(until) - ahead))
    for stream, incarnation, fence, at in _rows(world, _CLAIMS):
        owner = names.get(incarnation, "")
        history.claimed.append(Claimed(stream, owner, incarnation, int(fence), float(at) - ahead))
    of_address = {world.address(name): name for name in world.names}
    if len(of_address) == len(world.names):
        for stream, address, at in _rows(world, _WRITES):
            # The tests themselves ask as well, and store nothing.
            history.wrote.append(Wrote(stream, of_address.get(address, address), float(at) - ahead))


def _rows(world: World, statement: str) -> list[list[str]]:
    text = world.sql(statement)
    return [line.split("|") for line in text.splitlines()]
