import { describe, expect, it } from "vitest";
import type { RingAnswer } from "@/api/schema";
import {
  at,
  counted,
  isOutOfReach,
  lagTone,
  numbers,
  path,
  places,
  reasonAgainstDrain,
  shares,
  standing,
  whyUnknown,
} from "@/features/nodes/model";
import { node } from "@/test/factories";

const ring: RingAnswer = {
  nodes: [
    { id: "a", share: 0.25 },
    { id: "b", share: 0.75 },
  ],
  places: [
    [20, 1],
    [40, 0],
    [45, 0],
    [90, 1],
  ],
  reason: null,
  size: 100,
};

describe("the ring", () => {
  it("gives each node what lies before its places, and goes round", () => {
    expect(places(ring)).toEqual([
      { from: 0, node: 1, to: 0.2 },
      { from: 0.2, node: 0, to: 0.45 },
      { from: 0.45, node: 1, to: 1 },
    ]);
  });

  it("has parts that are what the server says each node has", () => {
    const found = [0, 0];
    for (const { from, node: index, to } of places(ring))
      found[index] = (found[index] ?? 0) + to - from;
    expect(found[0]).toBeCloseTo(0.25);
    expect(found[1]).toBeCloseTo(0.75);
    expect(shares(ring)).toEqual([
      { from: 0, node: 0, to: 0.25 },
      { from: 0.25, node: 1, to: 1 },
    ]);
  });

  it("is all of one node, or of none", () => {
    const one = {
      ...ring,
      nodes: [{ id: "a", share: 1 }],
      places: [
        [7, 0],
        [50, 0],
      ],
    };
    expect(places(one)).toEqual([{ from: 0, node: 0, to: 1 }]);
    expect(places({ ...ring, nodes: [], places: [] })).toEqual([]);
  });

  it("is drawn clockwise from the top", () => {
    expect(at(0, 10)).toBe("0 -10");
    expect(at(0.25, 10)).toBe("10 0");
    expect(path({ from: 0, node: 0, to: 0.5 }, 10)).toBe(
      "M0 -10A10 10 0 0 1 10 0A10 10 0 0 1 0 10",
    );
    // All of it, which one arc cannot be.
    expect(path({ from: 0, node: 0, to: 1 }, 10)).toBe("M0 -10A10 10 0 0 1 0 10A10 10 0 0 1 0 -10");
  });
});

describe("a node", () => {
  const other = node({ id: "east-2", is_this: false });

  it("can leave if another one is up", () => {
    expect(reasonAgainstDrain(node(), [node(), other])).toBeNull();
    expect(reasonAgainstDrain(node(), [node(), { ...other, state: "draining" }])).toMatch(
      "No other",
    );
    expect(reasonAgainstDrain(node(), [node()])).toMatch("No other");
    expect(reasonAgainstDrain(node({ lease_age_s: null }), [node()])).toMatch("for itself");
    expect(reasonAgainstDrain(node({ state: "down" }), [node(), other])).toMatch("down");
    expect(reasonAgainstDrain(node({ state: "draining" }), [node()])).toBeNull();
  });

  it("is out of reach if it lives and does not answer", () => {
    expect(isOutOfReach(node())).toBe(false);
    expect(isOutOfReach(node({ unanswered: "there is no link" }))).toBe(true);
    expect(isOutOfReach(node({ state: "down", unanswered: "it is down" }))).toBe(false);
  });

  it("is busy when its loop is late", () => {
    expect([0.004, 0.05, 0.4].map(lagTone)).toEqual(["ok", "warn", "bad"]);
  });

  it("is counted by state", () => {
    expect(counted([node(), other, node({ state: "down" })])).toBe("2 up, 1 down");
  });

  it("is not up if it does not answer, and drained when all is elsewhere", () => {
    const far = node({ unanswered: "there is no link" });
    expect(standing(far)).toEqual(["out of reach", "bad"]);
    expect(standing(node())).toEqual(["up", "ok"]);
    // Its card has its name above.
    const lost = node({ id: "node-3", unanswered: "there is no link to node node-3" });
    expect([whyUnknown(lost), whyUnknown(node())]).toEqual(["there is no link to it", null]);
    expect(standing(node({ phase: "lingering", state: "draining" }))[0]).toBe("draining");
    expect(standing(node({ phase: "drained", state: "draining" }))[0]).toBe("drained");
    expect(counted([node(), far])).toBe("1 up, 1 out of reach");
  });

  it("keeps its number when another one leaves the ring", () => {
    const known = [{ id: "a" }, { id: "b" }, { id: "c" }];
    expect(numbers(ring, known)).toEqual([0, 1]);
    const left = {
      ...ring,
      nodes: [
        { id: "b", share: 0.5 },
        { id: "c", share: 0.5 },
      ],
    };
    expect(numbers(left, known)).toEqual([1, 2]);
    expect(numbers(left, [])).toEqual([0, 1]);
  });
});
