// Answers of the server in named states. Each is checked against the schema, as real ones are.

import {
  Attentive,
  History,
  KeyAnswer,
  NodeAnswer,
  StatsAnswer,
  SubscriptionAnswer,
  TenantAnswer,
  TopicAnswer,
  WhoAmI,
} from "@/api/schema";

const AT = "2026-11-30T10:00:00.000Z";
const RATES = {
  acks_per_sec: 0,
  dead_letters_per_sec: 0,
  deliveries_per_sec: 0,
  messages_per_sec: 0,
  redeliveries_per_sec: 0,
};

export function topic(change: Partial<TopicAnswer> = {}): TopicAnswer {
  return TopicAnswer.parse({
    created_at: AT,
    epoch: "e",
    first_seq: 1,
    last_seq: 0,
    message_count: 0,
    name: "orders.created",
    retention: { max_age_s: null, max_bytes: null, max_messages: null },
    stored_bytes: 0,
    subscriber_count: 0,
    ...change,
  });
}

export function subscription(change: Partial<SubscriptionAnswer> = {}): SubscriptionAnswer {
  return SubscriptionAnswer.parse({
    ack: "explicit",
    ack_wait_ms: 30_000,
    created_at: AT,
    dead_count: 0,
    full: false,
    in_flight_count: 0,
    lag: 0,
    max_ack_wait_ms: 60_000,
    max_attempts: 5,
    max_in_flight: 256,
    max_lost: 20,
    more_topics: false,
    name: "billing",
    order: "publish",
    paused: false,
    pending_retry_count: 0,
    redriven_count: 0,
    subscribers: 1,
    topic: "orders.*",
    topics: [],
    ...change,
  });
}

export function stats(change: Partial<StatsAnswer> = {}): StatsAnswer {
  return StatsAnswer.parse({
    ...RATES,
    active_subscribers: 0,
    active_topics: 0,
    backlog: 0,
    connections: 1,
    nodes: ["east-1"],
    total_acks: 0,
    total_dead_letters: 0,
    total_deliveries: 0,
    total_messages: 0,
    total_redeliveries: 0,
    unanswered: [],
    unanswered_count: 0,
    uptime_seconds: 60,
    ...change,
  });
}

/** A sample each five seconds, with these backlogs. */
export function history(backlogs: readonly number[]): History {
  return History.parse({
    interval_s: 5,
    samples: backlogs.map((backlog, index) => ({
      ...RATES,
      active_subscribers: 0,
      active_topics: 1,
      at: new Date(Date.parse(AT) + index * 5_000).toISOString(),
      backlog,
      connections: 1,
      delivery_p50_ms: null,
      delivery_p99_ms: null,
      node_count: 1,
      publish_p50_ms: null,
      publish_p99_ms: null,
    })),
    unanswered_count: 0,
  });
}

export function node(change: Partial<NodeAnswer> = {}): NodeAnswer {
  return NodeAnswer.parse({
    address: "east-1:8080",
    connections: 1,
    id: "east-1",
    incarnation: "i",
    is_this: true,
    lease_age_s: 0.3,
    links: [],
    owned_subscriptions: 0,
    rates: RATES,
    started_at: AT,
    state: "up",
    unanswered: null,
    version: "0.1.0",
    ...change,
  });
}

/** What needs a look: nothing. */
export function attentive(change: Partial<Attentive> = {}): Attentive {
  return Attentive.parse({
    age_s: 0,
    counts: {},
    dead_letters: 0,
    dead_letters_by_tenant: change.dead_letters
      ? [{ dead_letters: change.dead_letters, tenant: "default" }]
      : [],
    is_fresh: true,
    more_dead_tenants: 0,
    quotas: [],
    subscriptions: [],
    unanswered_count: 0,
    ...change,
  });
}

export function key(change: Partial<KeyAnswer> = {}): KeyAnswer {
  return KeyAnswer.parse({
    created_at: AT,
    created_by: "key:SHbrZpCl",
    expires_at: null,
    id: "KD0AFPa2",
    last_used_at: null,
    limits: {},
    name: "web",
    revoked_at: null,
    rotating_until: null,
    scopes: [{ scope: "publish" }],
    tenant: "acme",
    ...change,
  });
}

export function troubled(
  change: Partial<Attentive["subscriptions"][number]> = {},
): Attentive["subscriptions"][number] {
  return {
    grown_count: null,
    grown_in_s: null,
    lag: 7,
    name: "billing",
    pending_retry_count: 0,
    subscriber_count: 0,
    tenant: "default",
    trouble: "absent",
    ...change,
  };
}

export function whoami(change: Partial<WhoAmI> = {}): WhoAmI {
  return WhoAmI.parse({
    actor: "key:KD0AFPa2",
    expires_at: null,
    key_id: "KD0AFPa2",
    key_name: "web",
    limits: {},
    scopes: [{ scope: "manage" }],
    tenant: "acme",
    ...change,
  });
}

export function tenant(change: Partial<TenantAnswer> = {}): TenantAnswer {
  return TenantAnswer.parse({
    created_at: AT,
    limits: {},
    name: "acme",
    usage: {
      connections: 0,
      dead_letters: 0,
      keys: 1,
      pending_retries: 0,
      stored_bytes: 0,
      subscriptions: 0,
      topics: 0,
    },
    ...change,
  });
}
