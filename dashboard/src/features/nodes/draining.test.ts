import { describe, expect, it } from "vitest";
import { isThere, progressText } from "@/features/nodes/draining";

const node = { connections: 2, owned_subscriptions: 1, phase: "lingering", state: "draining" };

describe("a node that leaves or comes back", () => {
  it("is there once it is drained, or serves", () => {
    expect(isThere(node, true)).toBe(false);
    expect(isThere({ ...node, phase: "drained" }, true)).toBe(true);
    expect(isThere({ ...node, phase: "drained" }, false)).toBe(false);
    expect(isThere({ ...node, phase: "serving", state: "up" }, false)).toBe(true);
  });

  it("is believed by its state if it does not say how far it is", () => {
    const silent = { ...node, phase: null };
    expect(isThere(silent, true)).toBe(false);
    expect(isThere({ ...silent, state: "up" }, false)).toBe(true);
    expect(isThere({ ...silent, state: "down" }, true)).toBe(true);
  });

  it("is told with what is left", () => {
    expect(progressText("a", node, true)).toBe(
      "a is draining: load balancers are given time to notice. It has 1 durable subscription and 2 open connections.",
    );
    const done = { ...node, connections: 0, owned_subscriptions: 0, phase: "drained" };
    expect(progressText("a", done, true)).toMatch(/^Done: a is drained/);
    expect(progressText("a", { ...done, phase: "serving", state: "up" }, false)).toMatch(
      /^Done: a serves again/,
    );
    expect(progressText("a", { ...node, connections: null }, true)).toMatch("not known");
  });
});
