// How the store and the nodes stand, in a few words each.

import type { Health, NodeList } from "@/api/schema";
import { bytes, duration } from "@/components/format";
import type { Tone } from "@/components/stateColours";

export interface Standing {
  readonly label: string;
  readonly tone: Tone;
  readonly told: string;
  readonly more?: string | undefined;
}

// A lease is renewed each second and ends after three.
const LEASE_LATE_S = 2;

/** Since when an answer is not the newest any more, in words; null: it is. */
export interface Since {
  readonly health: string | null;
  readonly nodes: string | null;
}

export function standings(
  health: Health | undefined,
  nodes: NodeList | undefined,
  since: Since = { health: null, nodes: null },
): Standing[] {
  const ofHealth = (some: Standing[]) => aged(some, since.health);
  return [
    ...ofHealth([...ofStore(health), ...ofNode(health)]),
    ...aged(ofLeases(nodes), since.nodes),
    ...ofHealth(ofRegistry(health)),
  ];
}

/** As it was then: whether it is so still nobody knows. */
function aged(some: Standing[], since: string | null): Standing[] {
  if (since === null) return some;
  return some.map(({ label, told }) => ({
    label,
    more: `as of ${since}, not known since`,
    told,
    tone: "idle",
  }));
}

function ofStore(health: Health | undefined): Standing[] {
  const store = health?.store;
  if (!store) return [];
  const size = sized(store.size_bytes, "stored");
  const free = sized(store.disk_free_bytes, "free on its disk");
  const durable = store.durable !== false;
  return [
    {
      label: "Store",
      more: [size, free].filter(Boolean).join(", "),
      told: `${String(store.kind)}, ${durable ? "durable" : "gone with the process"}`,
      tone: durable ? "ok" : "warn",
    },
  ];
}

function sized(value: unknown, what: string): string {
  return typeof value === "number" ? `${bytes(value)} ${what}` : "";
}

function ofNode(health: Health | undefined): Standing[] {
  if (!health?.node_id) return [];
  const { node_id, not_ready, version } = health;
  return [
    {
      label: "This node",
      more: not_ready?.detail ?? `version ${version ?? "?"}`,
      told: `${node_id}, ${not_ready ? "not ready" : "ready"}`,
      tone: not_ready ? "bad" : "ok",
    },
  ];
}

function ofLeases(nodes: NodeList | undefined): Standing[] {
  const all = nodes?.nodes ?? [];
  if (all.length === 0) return [];
  const live = all.filter(({ state }) => state !== "down");
  const ages = live.flatMap(({ lease_age_s }) => lease_age_s ?? []);
  const oldest = Math.max(...ages, 0);
  const leases: Standing = {
    label: "Leases",
    more: "renewed each second, and lost after three",
    told: `the oldest ${oldest < 1 ? "under 1 s" : duration(oldest)} old`,
    tone: oldest > LEASE_LATE_S ? "warn" : "ok",
  };
  const down = all.length - live.length;
  const far = live.filter(({ unanswered }) => unanswered != null).length;
  const missing = [
    ...(down > 0 ? [`${down} down`] : []),
    ...(far > 0 ? [`${far} out of reach`] : []),
  ];
  return [
    {
      label: "Nodes",
      more: missing.join(", ") || undefined,
      told: `${live.length - far} of ${all.length} up`,
      tone: missing.length > 0 ? "bad" : "ok",
    },
    ...(ages.length > 0 ? [leases] : []),
  ];
}

function ofRegistry(health: Health | undefined): Standing[] {
  const registry = health?.cluster?.registry;
  if (!registry) return [];
  const bad = registry.status === "degraded";
  return [
    { label: "Redis", more: registry.detail, told: registry.status, tone: bad ? "warn" : "ok" },
  ];
}
