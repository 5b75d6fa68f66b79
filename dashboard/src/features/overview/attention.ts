// What somebody should look at, why, and where: read off what the API says. No state, no clock.

import type {
  DeadLetterList,
  Health,
  History,
  NodeList,
  StatsAnswer,
  SubscriptionAnswer,
  SubscriptionList,
} from "@/api/schema";
import { count, duration } from "@/components/format";

export type Place = "/dead-letters" | "/subscriptions" | "/nodes" | "/";

export interface Item {
  readonly id: string;
  readonly tone: "bad" | "warn";
  readonly what: string;
  readonly why: string;
  readonly to: Place;
  /** Filters of that page, for what it is about. */
  readonly search?: Readonly<Record<string, string>>;
}

export interface Facts {
  readonly deadLetters?: DeadLetterList | undefined;
  readonly health?: Health | undefined;
  readonly history?: History | undefined;
  readonly nodes?: NodeList | undefined;
  readonly stats?: StatsAnswer | undefined;
  readonly subscriptions?: SubscriptionList | undefined;
}

// Of one kind, so that a thousand absent subscribers do not hide a node that is down.
export const OF_A_KIND_MAX_COUNT = 5;
// Growth of the backlog that is called so: more than this, and a tenth of it, over so many samples.
const GROWTH_LEAST = 100;
const GROWTH_LEAST_PART = 0.1;
export const GROWTH_SAMPLES_COUNT = 24;

/** The worst first. */
export function attention(facts: Facts): Item[] {
  const items = [
    ...ofHealth(facts.health),
    ...ofNodes(facts.nodes),
    ...unanswered(facts.stats),
    ...growing(facts.history),
    ...capped("subscriptions", (facts.subscriptions?.subscriptions ?? []).flatMap(ofSubscription)),
    ...ephemeral(facts.deadLetters),
  ];
  return items.sort((one, other) => Number(one.tone === "warn") - Number(other.tone === "warn"));
}

function ofHealth(health: Health | undefined): Item[] {
  const items: Item[] = [];
  if (health?.not_ready) {
    items.push({
      id: "not-ready",
      to: "/nodes",
      tone: "bad",
      what: "This node is not ready",
      why: health.not_ready.detail,
    });
  }
  if (health?.cluster?.registry?.status === "degraded") {
    items.push({
      id: "registry",
      to: "/nodes",
      tone: "warn",
      what: "Redis is not used",
      why: health.cluster.registry.detail,
    });
  }
  return items;
}

function ofNodes(nodes: NodeList | undefined): Item[] {
  const items = (nodes?.nodes ?? []).flatMap((node): Item[] => {
    if (node.state === "down") {
      const age = node.lease_age_s === null ? "" : ` for ${duration(node.lease_age_s)}`;
      const why = `It has had no lease${age}: it stopped, was killed, or does not reach the database.`;
      return [
        { id: `down:${node.id}`, to: "/nodes", tone: "bad", what: `Node ${node.id} is down`, why },
      ];
    }
    if (node.state === "draining") {
      const why = "It takes nothing new, and hands its subscriptions to the others.";
      return [
        {
          id: `draining:${node.id}`,
          to: "/nodes",
          tone: "warn",
          what: `Node ${node.id} is draining`,
          why,
        },
      ];
    }
    return [];
  });
  return capped("nodes", items);
}

function unanswered(stats: StatsAnswer | undefined): Item[] {
  if (!stats?.unanswered_count) return [];
  const what = `${count(stats.unanswered_count)} nodes have not answered`;
  const why =
    "They live, and are not in the figures here: there is no link to them, or they are slow.";
  return [{ id: "unanswered", to: "/nodes", tone: "warn", what, why }];
}

function growing(history: History | undefined): Item[] {
  const samples = history?.samples.slice(-GROWTH_SAMPLES_COUNT) ?? [];
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || samples.length < GROWTH_SAMPLES_COUNT / 2) return [];
  const more = last.backlog - first.backlog;
  if (more < GROWTH_LEAST || more < first.backlog * GROWTH_LEAST_PART) return [];
  const seconds = (Date.parse(last.at) - Date.parse(first.at)) / 1_000;
  const why = `${count(more)} more messages than ${duration(seconds)} ago are not settled: subscribers are absent, or slower than publishers.`;
  return [{ id: "growing", to: "/subscriptions", tone: "warn", what: "The backlog grows", why }];
}

function ofSubscription(subscription: SubscriptionAnswer): Item[] {
  const { dead_count, full, lag, name, paused, subscribers } = subscription;
  const items: Item[] = [];
  if (dead_count > 0) {
    const what = `${count(dead_count)} dead letters of ${name}`;
    const why =
      "Its subscribers have failed on them as often as they may. Redrive them once that is mended.";
    const search = { subscription: name };
    items.push({ id: `dead:${name}`, search, to: "/dead-letters", tone: "bad", what, why });
  }
  if (full) {
    const why = "So many of its messages wait for another attempt that nothing new is delivered.";
    items.push({
      id: `full:${name}`,
      search: { q: name },
      to: "/subscriptions",
      tone: "bad",
      what: `${name} is full`,
      why,
    });
  }
  if (lag > 0 && (paused || subscribers === 0)) {
    const what = paused ? `${name} is paused` : `Nobody is attached to ${name}`;
    const why = `${count(lag)} messages wait for it.`;
    const search = { q: name };
    items.push({ id: `absent:${name}`, search, to: "/subscriptions", tone: "warn", what, why });
  }
  return items;
}

function ephemeral(letters: DeadLetterList | undefined): Item[] {
  const newest = letters?.dead_letters[0];
  if (!newest) return [];
  const why = `The newest is of topic ${newest.topic}: ${newest.reason}.`;
  const what = "Dead letters of subscribers without a durable subscription";
  const search = { subscription: "" };
  return [{ id: "ephemeral", search, to: "/dead-letters", tone: "bad", what, why }];
}

function capped(kind: "nodes" | "subscriptions", items: Item[]): Item[] {
  const more = items.length - OF_A_KIND_MAX_COUNT;
  if (more <= 0) return items;
  const worst = [...items].sort((one, other) => one.tone.localeCompare(other.tone));
  const what = `${count(more)} more about ${kind}`;
  const why = "These are the worst; the page lists all.";
  const rest: Item = { id: `more:${kind}`, to: `/${kind}`, tone: "warn", what, why };
  return [...worst.slice(0, OF_A_KIND_MAX_COUNT), rest];
}
