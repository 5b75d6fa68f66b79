import { describe, expect, it } from "vitest";
import { attention, OF_A_KIND_MAX_COUNT } from "@/features/overview/attention";
import { history, node, stats, subscription } from "@/test/factories";

const ids = (...subscriptions: Parameters<typeof subscription>[0][]) =>
  attention({ subscriptions: { next: null, subscriptions: subscriptions.map(subscription) } }).map(
    ({ id }) => id,
  );

describe("what needs attention", () => {
  it("is nothing where all is well, and where nothing is known", () => {
    expect(attention({})).toEqual([]);
    expect(
      attention({
        health: { ready: true, status: "ok" },
        history: history(Array(24).fill(0)),
        nodes: { next: null, nodes: [node()] },
        stats: stats(),
        subscriptions: { next: null, subscriptions: [subscription({ lag: 5 })] },
      }),
    ).toEqual([]);
  });

  it("is a subscription with dead letters, one that is full, and one that nobody takes from", () => {
    expect(ids({ dead_count: 3 })).toEqual(["dead:billing"]);
    expect(ids({ full: true })).toEqual(["full:billing"]);
    expect(ids({ lag: 1, subscribers: 0 })).toEqual(["absent:billing"]);
    expect(ids({ lag: 1, paused: true })).toEqual(["absent:billing"]);
    expect(ids({ lag: 0, paused: true, subscribers: 0 })).toEqual([]);
  });

  it("has the worst first, and not so many of a kind that they hide another", () => {
    const absent = Array.from({ length: 50 }, (_, at) => ({
      lag: 1,
      name: `s${at}`,
      subscribers: 0,
    }));
    const found = attention({
      nodes: { next: null, nodes: [node({ lease_age_s: 90, state: "down" })] },
      subscriptions: {
        next: null,
        subscriptions: [...absent, { dead_count: 1, name: "last" }].map(subscription),
      },
    });
    expect(found).toHaveLength(1 + OF_A_KIND_MAX_COUNT + 1);
    expect(found.slice(0, 2).map(({ id }) => id)).toEqual(["down:east-1", "dead:last"]);
    expect(found.at(-1)?.what).toBe("46 more about subscriptions");
  });

  it("is a backlog that grows by much, and by a part of what it was", () => {
    const grown = (from: number, to: number) =>
      attention({
        history: history(Array.from({ length: 24 }, (_, at) => from + ((to - from) * at) / 23)),
      });
    expect(grown(0, 100).map(({ id }) => id)).toEqual(["growing"]);
    expect(grown(0, 99)).toEqual([]);
    expect(grown(10_000, 10_500)).toEqual([]);
    expect(grown(10_000, 0)).toEqual([]);
    expect(attention({ history: history([0, 100_000]) })).toEqual([]);
  });

  it("says of a node that it is down, for how long, or that it is not heard of", () => {
    const [down] = attention({
      nodes: { next: null, nodes: [node({ lease_age_s: 90, state: "down" })] },
    });
    expect(down?.why).toContain("for 1 min");
    expect(attention({ stats: stats({ unanswered_count: 2 }) })[0]?.what).toBe(
      "2 nodes have not answered",
    );
  });

  it("says why the node that answers is not ready", () => {
    const not_ready = { code: "store_unavailable", detail: "the disk is full" };
    const [item] = attention({ health: { not_ready, ready: false, status: "ok" } });
    expect(item).toMatchObject({ tone: "bad", why: "the disk is full" });
  });
});
