import { describe, expect, it } from "vitest";
import { standings } from "@/features/overview/standing";
import { node } from "@/test/factories";

describe("how the store and the nodes stand", () => {
  it("is nothing for who is not told", () => {
    expect(standings({ status: "ok" }, undefined)).toEqual([]);
    expect(standings(undefined, undefined)).toEqual([]);
  });

  it("is said in a few words each, with a tone", () => {
    const store = { disk_free_bytes: 2 ** 30, durable: true, kind: "sqlite", size_bytes: 2 ** 20 };
    const health = { node_id: "a", status: "ok", store, version: "1" } as const;
    const nodes = [
      node({ lease_age_s: 0.4 }),
      node({ lease_age_s: 2.5 }),
      node({ lease_age_s: 60, state: "down" }),
    ];
    const found = standings(health, { next: null, nodes });
    expect(found.map(({ label, tone, told }) => `${label} ${tone}: ${told}`)).toEqual([
      "Store ok: sqlite, durable",
      "This node ok: a, ready",
      "Nodes bad: 2 of 3 up",
      "Leases warn: the oldest 2 s old",
    ]);
    const far = standings(undefined, {
      next: null,
      nodes: [node(), node({ unanswered: "there is no link" })],
    });
    expect(far[0]).toMatchObject({ more: "1 out of reach", told: "1 of 2 up", tone: "bad" });
    expect(found[0]?.more).toBe("1.0 MiB stored, 1.0 GiB free on its disk");
  });

  it("is not known, as it was and since when, of what the server does not say any more", () => {
    const health = { node_id: "a", status: "ok", store: { kind: "sqlite" } } as const;
    const nodes = { next: null, nodes: [node({ lease_age_s: null })] };
    const toldOf = (since: { health: string | null; nodes: string | null }) =>
      standings(health, nodes, since).map(({ label, more, tone }) => [label, tone, more]);
    const then = "as of 10:32:46, not known since";
    expect(toldOf({ health: "10:32:46", nodes: "10:32:46" })).toEqual([
      ["Store", "idle", then],
      ["This node", "idle", then],
      ["Nodes", "idle", then],
    ]);
    expect(toldOf({ health: null, nodes: "10:32:46" })[2]).toEqual(["Nodes", "idle", then]);
    expect(toldOf({ health: null, nodes: "10:32:46" })[1]?.[1]).toBe("ok");
  });
});
