// What somebody should look at of nodes and the store.

import type { Health, NodeList } from "@/api/schema";
import { bytes, duration } from "@/components/format";
import type { Item } from "@/features/overview/item";

const NODES_MAX_COUNT = 5;
// So little room on the store's disk is told.
const DISK_FREE_LEAST_BYTES = 2 * 1024 ** 3;

export function ofHealth(health: Health | undefined): Item[] {
  const items: Item[] = [];
  if (health?.not_ready) {
    const { code, detail } = health.not_ready;
    // One that was drained answers everything.
    const isDrained = code === "draining";
    const why = `${isDrained ? "Load balancers send nobody to it" : "It refuses requests"}: ${detail}.`;
    items.push({
      id: "not-ready",
      to: "/nodes",
      tone: isDrained ? "warn" : "bad",
      what: "The node that answers is not ready",
      why,
    });
  }
  const free = health?.store?.disk_free_bytes;
  if (typeof free === "number" && free < DISK_FREE_LEAST_BYTES) {
    const why = `${bytes(free)} are left. Without room publishes are refused: shorten the retention of topics, purge some, or make room.`;
    items.push({
      id: "disk",
      to: "/topics",
      tone: "bad",
      what: "The store's disk is nearly full",
      why,
    });
  }
  if (health?.store?.durable === false) {
    const why = "All messages are gone when this process ends. Set DATABASE_URL to keep them.";
    items.push({ id: "memory", to: "/nodes", tone: "warn", what: "The store is in memory", why });
  }
  const registry = health?.cluster?.registry;
  if (registry?.status === "degraded") {
    items.push({
      id: "registry",
      to: "/nodes",
      tone: "warn",
      what: "Redis is not used",
      why: registry.detail,
    });
  }
  return items;
}

export function ofNodes(nodes: NodeList | undefined): Item[] {
  const items = (nodes?.nodes ?? []).flatMap(ofNode);
  const more = items.length - NODES_MAX_COUNT;
  if (more <= 0) return items;
  const worst = [...items].sort((one, other) => one.tone.localeCompare(other.tone));
  const why = "These are the worst; the page lists all.";
  const what = `${more} more about nodes`;
  const rest: Item = { id: "more:nodes", to: "/nodes", tone: "warn", what, why };
  return [...worst.slice(0, NODES_MAX_COUNT), rest];
}

function ofNode({ id, lease_age_s, phase, state, unanswered }: NodeList["nodes"][number]): Item[] {
  const about = { name: id, to: "/nodes" } as const;
  if (state === "down") {
    const age = lease_age_s === null ? "" : ` for ${duration(lease_age_s)}`;
    const why = `It has had no lease${age}: it stopped, was killed, or does not reach the database.`;
    return [{ ...about, id: `down:${id}`, tone: "bad", what: `Node ${id} is down`, why }];
  }
  if (unanswered !== null) {
    const why = `It lives, and does not answer this node: ${unanswered}.`;
    return [{ ...about, id: `far:${id}`, tone: "warn", what: `Node ${id} is out of reach`, why }];
  }
  if (phase === "drained") {
    const why =
      "Others run its durable subscriptions, and load balancers send nobody to it; whoever comes is served. It may be stopped, or told to serve again.";
    return [{ ...about, id: `drained:${id}`, tone: "warn", what: `Node ${id} is drained`, why }];
  }
  if (state === "draining") {
    const why = "It hands its subscriptions to the others, and load balancers send nobody to it.";
    return [{ ...about, id: `draining:${id}`, tone: "warn", what: `Node ${id} is draining`, why }];
  }
  return [];
}
