import { describe, expect, it } from "vitest";
import {
  attention as attentionOf,
  type Facts,
  OF_A_KIND_MAX_COUNT,
  staleness,
} from "@/features/overview/attention";
import { attentive, history, node, stats, troubled } from "@/test/factories";

const OWN = { own: "default", shown: "default" };
const ALL = { own: "default", shown: null };
const attention = (facts: Facts, whose = OWN as typeof OWN | typeof ALL) =>
  attentionOf(facts, whose);
const about = (...subscriptions: Parameters<typeof troubled>[0][]) =>
  attention({ attentive: attentive({ subscriptions: subscriptions.map(troubled) }) });
const ids = (items: ReturnType<typeof attention>) => items.map(({ id }) => id);

describe("what needs attention", () => {
  it("is nothing where all is well, and where nothing is known", () => {
    expect(attention({})).toEqual([]);
    expect(
      attention({
        attentive: attentive(),
        health: { ready: true, status: "ok", store: { durable: true, disk_free_bytes: 1e12 } },
        history: history(Array(24).fill(0)),
        nodes: { next: null, nodes: [node()] },
        stats: stats(),
      }),
    ).toEqual([]);
  });

  it("is a subscription that is full, slow, paused, or that nobody takes from, with the reason", () => {
    const found = about(
      { trouble: "full", pending_retry_count: 12 },
      { grown_count: 900, grown_in_s: 70, lag: 1_000, subscriber_count: 2, trouble: "slow" },
      { trouble: "absent" },
      { trouble: "paused" },
      { trouble: "something new" },
    );
    expect(found.map(({ tone, what }) => `${tone}: ${what}`)).toEqual([
      "bad: billing is full",
      "warn: billing is too slow",
      "warn: Nobody is attached to billing",
      "warn: billing is paused",
      "warn: billing is something new",
    ]);
    expect(found[0]?.why).toContain("12 of its messages wait for another attempt");
    expect(found[1]?.why).toBe(
      "1,000 messages wait for it, 900 more than 1 min ago. Its 2 subscribers do less than comes: add some, or make them faster.",
    );
    expect(found[2]).toMatchObject({ name: "billing", tenant: "default", to: "/subscriptions" });
  });

  it("has not so many of one trouble that they hide another, and says how many more there are", () => {
    const absent = Array.from({ length: 9 }, (_, at) => troubled({ name: `s${at}` }));
    const subscriptions = [...absent, troubled({ name: "p", trouble: "paused" })];
    const found = attention({
      attentive: attentive({ counts: { absent: 1_000, paused: 1 }, subscriptions }),
      nodes: { next: null, nodes: [node({ lease_age_s: 90, state: "down" })] },
    });
    expect(found).toHaveLength(1 + OF_A_KIND_MAX_COUNT + 1 + 1);
    expect(found[0]?.id).toBe("down:east-1");
    expect(found.find(({ id }) => id === "more:absent")?.what).toBe(
      "995 more subscriptions are absent",
    );
  });

  it("is dead letters, with what the newest died of", () => {
    expect(attention({ attentive: attentive({ dead_letters: 3 }) })[0]).toMatchObject({
      to: "/dead-letters",
      tone: "bad",
      what: "3 dead letters",
    });
  });

  it("names what the newest died in so that its name is told from the words around it", () => {
    const newest = {
      attempts: 5,
      died_at: "2026-11-30T10:00:00.000Z",
      id: "d1",
      message_id: "m1",
      payload: null,
      published_at: null,
      reason: "declined",
      redriven_at: null,
      seq: 7,
      subscription: "all",
      topic: "them",
    };
    const [item] = attention({
      attentive: attentive({ dead_letters: 1 }),
      letters: { dead_letters: [newest], next: null },
    });
    expect(item?.why).toBe(
      "Its subscriber gave it up. It died in topic “them”, of subscription “all”: “declined”. Redrive it once that is mended.",
    );
  });

  it("is the dead letters of each tenant, by its name, where all are looked at or it is another's", () => {
    const dead_letters_by_tenant = ["acme", "default", "c", "d", "e", "f"].map((tenant, at) => ({
      dead_letters: 9 - at,
      tenant,
    }));
    const all = attentive({ dead_letters: 50, dead_letters_by_tenant, more_dead_tenants: 3 });
    const told = attention({ attentive: all }, ALL);
    expect(told.map(({ tenant, to, what }) => [what, to, tenant])).toEqual([
      ["9 dead letters of tenant acme", "/dead-letters", "acme"],
      ["8 dead letters of tenant default", "/dead-letters", "default"],
      ["7 dead letters of tenant c", "/dead-letters", "c"],
      ["6 dead letters of tenant d", "/dead-letters", "d"],
      ["5 dead letters of tenant e", "/dead-letters", "e"],
      ["15 dead letters of 4 more tenants", "/tenants", undefined],
    ]);
    const one = attentive({
      dead_letters: 1,
      dead_letters_by_tenant: [{ dead_letters: 1, tenant: "acme" }],
    });
    const chosen = { own: "default", shown: "acme" };
    expect(attention({ attentive: one }, chosen)[0]?.what).toBe("One dead letter of tenant acme");
  });

  it("says whose subscription it is, where two may have one name", () => {
    const subscriptions = ["acme", "default"].map((tenant) => troubled({ name: "bill", tenant }));
    const some = { attentive: attentive({ counts: { absent: 9 }, subscriptions }) };
    expect(attention(some, ALL).map(({ to, what }) => [what, to])).toEqual([
      ["Nobody is attached to bill of tenant acme", "/subscriptions"],
      ["Nobody is attached to bill of tenant default", "/subscriptions"],
      ["7 more subscriptions are absent", "/tenants"],
    ]);
    expect(attention(some)[1]?.what).toBe("Nobody is attached to bill");
  });

  it("is a bound that is nearly reached, and what happens beyond it", () => {
    const quotas = [
      { limit: "stored_bytes", max: 1_048_576, tenant: "acme", used: 1_048_576 },
      { limit: "topics", max: 100, tenant: "acme", used: 91 },
    ];
    const found = attention({ attentive: attentive({ quotas }) });
    expect(found.map(({ tone, what, why }) => [tone, what, why])).toEqual([
      [
        "bad",
        "Tenant acme uses 100 % of its stored bytes",
        "1.0 MiB of 1.0 MiB. Beyond that publishes are refused.",
      ],
      [
        "warn",
        "Tenant acme uses 91 % of its topics",
        "91 of 100. Beyond that no topic can be made.",
      ],
    ]);
  });

  it("is a backlog that grows by much, and by a part of what it was", () => {
    const grown = (from: number, to: number) =>
      attention({
        history: history(Array.from({ length: 24 }, (_, at) => from + ((to - from) * at) / 23)),
      });
    expect(ids(grown(0, 100))).toEqual(["growing"]);
    expect(grown(0, 99)).toEqual([]);
    expect(grown(10_000, 10_500)).toEqual([]);
    expect(grown(10_000, 0)).toEqual([]);
    expect(attention({ history: history([0, 100_000]) })).toEqual([]);
  });

  it("is what has grown in the last two minutes, and not before", () => {
    const long = history([...Array(30).fill(0), ...Array(60).fill(5_000)]);
    expect(attention({ history: long })).toEqual([]);
  });

  it("says of a node that it is down, for how long, or that it is out of reach, and why", () => {
    const nodes = [
      node({ lease_age_s: 90, state: "down" }),
      node({ id: "b", unanswered: "no link" }),
      node({ id: "c", state: "draining" }),
    ];
    const [down, far, draining] = attention({ nodes: { next: null, nodes } });
    expect(down?.why).toContain("for 1 min");
    expect(far?.why).toContain("no link");
    expect(draining?.what).toBe("Node c is draining");
    const done = node({ id: "c", phase: "drained", state: "draining" });
    const [drained] = attention({ nodes: { next: null, nodes: [done] } });
    expect([drained?.what, drained?.why]).toEqual([
      "Node c is drained",
      "Others run its durable subscriptions, and load balancers send nobody to it; whoever comes is served. It may be stopped, or told to serve again.",
    ]);
    const [unanswered] = attention({
      stats: stats({ unanswered: ["b", "c"], unanswered_count: 2 }),
    });
    expect(unanswered?.what).toBe("2 nodes are out of reach: b, c");
  });

  it("is a store without room, one that keeps nothing, and a node that is not ready", () => {
    const not_ready = { code: "store_unavailable", detail: "the disk is full" };
    const found = attention({
      health: {
        not_ready,
        ready: false,
        status: "ok",
        store: { disk_free_bytes: 5_000_000, durable: false },
      },
    });
    expect(ids(found)).toEqual(["not-ready", "disk", "memory"]);
    expect(found[0]).toMatchObject({ tone: "bad", why: "It refuses requests: the disk is full." });
  });
});

describe("how old it is", () => {
  it("is said if nobody has looked lately", () => {
    expect(staleness(attentive({ age_s: 12 }))).toEqual([]);
    expect(staleness(attentive({ age_s: 95, is_fresh: false }))).toEqual([
      "subscriptions for 1 min",
    ]);
    expect(staleness(attentive({ age_s: null }))[0]).toContain("has not looked");
    expect(staleness(undefined)).toEqual([]);
  });
});
