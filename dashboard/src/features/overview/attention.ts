// What somebody should look at, why, and where: read off what the API says. No state, no clock.

import type {
  Attentive,
  DeadLetterList,
  Health,
  History,
  NodeList,
  Quota,
  StatsAnswer,
  Troubled,
} from "@/api/schema";
import { bytes, count, counted, duration } from "@/components/format";
import { type Item, ofTenant, type Whose, worstFirst } from "@/features/overview/item";
import { ofLetters } from "@/features/overview/letterAttention";
import { ofHealth, ofNodes } from "@/features/overview/nodeAttention";

export interface Facts {
  readonly attentive?: Attentive | undefined;
  readonly health?: Health | undefined;
  readonly history?: History | undefined;
  readonly letters?: DeadLetterList | undefined;
  readonly nodes?: NodeList | undefined;
  readonly stats?: StatsAnswer | undefined;
}

// Of one trouble, so that a thousand absent subscribers do not hide a node that is down.
export const OF_A_KIND_MAX_COUNT = 5;
// Growth of the backlog that is called so: more than this, and a tenth of it, in the last two minutes.
const GROWTH_LEAST = 100;
const GROWTH_LEAST_PART = 0.1;
const GROWTH_S = 120;
const GROWTH_LEAST_S = 55;

/** What is said of subscriptions that were not looked at lately; nothing if they were. */
export function staleness(attentive: Attentive | undefined): string[] {
  if (!attentive) return [];
  const { age_s, is_fresh } = attentive;
  if (age_s === null) return ["subscriptions (a node has not looked at them yet)"];
  return is_fresh ? [] : [`subscriptions for ${duration(age_s)}`];
}

/** The worst first. */
export function attention(facts: Facts, whose: Whose): Item[] {
  return worstFirst([
    ...ofHealth(facts.health),
    ...ofNodes(facts.nodes),
    ...(facts.nodes ? [] : unanswered(facts.stats)),
    ...ofLetters(facts.attentive, facts.letters, whose),
    ...ofSubscriptions(facts.attentive, whose),
    ...(facts.attentive?.quotas ?? []).slice(0, OF_A_KIND_MAX_COUNT).map(ofQuota),
    ...growing(facts.history),
  ]);
}

function unanswered(stats: StatsAnswer | undefined): Item[] {
  if (!stats?.unanswered_count) return [];
  const one = stats.unanswered_count === 1;
  const named = stats.unanswered?.length ? `: ${stats.unanswered.join(", ")}` : "";
  const what = one ? "A node is out of reach" : `${count(stats.unanswered_count)} nodes are`;
  const why =
    "What they do is not in the figures here: there is no link to them, or they answer too late.";
  return [
    {
      id: "unanswered",
      to: "/nodes",
      tone: "warn",
      what: `${what}${one ? "" : " out of reach"}${named}`,
      why,
    },
  ];
}

function growing(history: History | undefined): Item[] {
  const samples = history?.samples ?? [];
  const last = samples.at(-1);
  if (!last) return [];
  const at = Date.parse(last.at);
  const reachMs = Math.max(GROWTH_S, 2 * (history?.interval_s ?? 0)) * 1_000 + 500;
  const first = samples.find((sample) => Date.parse(sample.at) >= at - reachMs);
  if (!first || at - Date.parse(first.at) < GROWTH_LEAST_S * 1_000) return [];
  const more = last.backlog - first.backlog;
  if (more < GROWTH_LEAST || more < first.backlog * GROWTH_LEAST_PART) return [];
  const seconds = (at - Date.parse(first.at)) / 1_000;
  const why = `${count(more)} more messages than ${duration(seconds)} ago are not settled: subscribers are absent, or slower than publishers.`;
  return [{ id: "growing", to: "/subscriptions", tone: "warn", what: "The backlog grows", why }];
}

function ofSubscriptions(attentive: Attentive | undefined, whose: Whose): Item[] {
  const byTrouble = new Map<string, Troubled[]>();
  for (const one of attentive?.subscriptions ?? []) {
    byTrouble.set(one.trouble, [...(byTrouble.get(one.trouble) ?? []), one]);
  }
  return [...byTrouble].flatMap(([trouble, some]) => {
    const shown = some.slice(0, OF_A_KIND_MAX_COUNT);
    const more = (attentive?.counts[trouble] ?? some.length) - shown.length;
    const items = shown.map((one) => ofSubscription(one, whose));
    return [...items, ...(more > 0 ? [rest(trouble, more, whose)] : [])];
  });
}

function rest(trouble: string, more: number, { shown }: Whose): Item {
  const what = `${counted(more, "more subscription")} ${more === 1 ? "is" : "are"} ${trouble}`;
  const isOfAll = shown === null;
  const where = isOfAll ? "choose a tenant for all of its own" : "the page lists all";
  const why = `Those above have the most unsettled messages; ${where}.`;
  const to = isOfAll ? "/tenants" : "/subscriptions";
  return { id: `more:${trouble}`, to, tone: "warn", what, why };
}

function ofSubscription(one: Troubled, whose: Whose): Item {
  const { name, tenant, trouble } = one;
  const id = `${trouble}:${tenant}/${name}`;
  const called = `${name}${ofTenant(tenant, whose)}`;
  return { id, name, tenant, to: "/subscriptions", ...told(one, called) };
}

function told(one: Troubled, name: string): Pick<Item, "tone" | "what" | "why"> {
  const { lag, pending_retry_count, subscriber_count } = one;
  const waiting = `${count(lag)} ${lag === 1 ? "message waits" : "messages wait"} for it${grown(one)}.`;
  switch (one.trouble) {
    case "full": {
      const why = `${count(pending_retry_count)} of its messages wait for another attempt, and nothing new is delivered until some are settled: its subscribers fail on most of what they get.`;
      return { tone: "bad", what: `${name} is full`, why };
    }
    case "slow": {
      const who =
        subscriber_count === 1
          ? "one subscriber does"
          : `${count(subscriber_count)} subscribers do`;
      const why = `${waiting} Its ${who} less than comes: add some, or make them faster.`;
      return { tone: "warn", what: `${name} is too slow`, why };
    }
    case "paused":
      return { tone: "warn", what: `${name} is paused`, why: `${waiting} Resume it to go on.` };
    case "absent": {
      const why = `${waiting} Its consumer has stopped, or cannot connect.`;
      return { tone: "warn", what: `Nobody is attached to ${name}`, why };
    }
    default:
      return { tone: "warn", what: `${name} is ${one.trouble}`, why: waiting };
  }
}

function grown({ grown_count, grown_in_s }: Troubled): string {
  if (!grown_count || grown_count < 0 || !grown_in_s) return "";
  return `, ${count(grown_count)} more than ${duration(grown_in_s)} ago`;
}

const LIMITS: Readonly<Record<string, string>> = {
  connections: "new WebSockets are refused",
  pending_retries: "subscriptions with failed messages get nothing new",
  publishes_per_s: "publishes are refused until the next second",
  stored_bytes: "publishes are refused",
  subscriptions: "no durable subscription can be made",
  topics: "no topic can be made",
};

function ofQuota({ limit, max, tenant, used }: Quota): Item {
  const part = max > 0 ? Math.floor((100 * used) / max) : 100;
  const amount = limit === "stored_bytes" ? bytes : count;
  const then = LIMITS[limit] ?? "more is refused";
  return {
    id: `quota:${tenant}/${limit}`,
    tenant,
    to: limit === "subscriptions" || limit === "pending_retries" ? "/subscriptions" : "/topics",
    tone: used >= max ? "bad" : "warn",
    what: `Tenant ${tenant} uses ${part} % of its ${limit.replaceAll("_", " ")}`,
    why: `${amount(used)} of ${amount(max)}. Beyond that ${then}.`,
  };
}
