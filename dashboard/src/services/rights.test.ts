import { describe, expect, it } from "vitest";
import type { Grant, WhoAmI } from "@/api/schema";
import {
  managedTopics,
  readTopics,
  reasonAgainst,
  reasonAgainstMany,
  reasonAgainstNodes,
  reasonAgainstReading,
  reasonAgainstSubscribing,
  reasonAgainstWhole,
} from "@/services/rights";

const who = (...scopes: Grant[]) => ({ actor: "key:1", key_id: "1", scopes }) as WhoAmI;
const some = who({ scope: "manage", topics: ["orders.>"] });

describe("what a key may do", () => {
  it("is what it was given", () => {
    expect(reasonAgainst(who({ scope: "subscribe" }), "manage")).toBe(
      "The key has no scope manage.",
    );
    expect(reasonAgainst(who({ scope: "admin" }), "manage")).toBeNull();
    expect(reasonAgainst(who({ scope: "admin" }), "manage", "a")).toBeNull();
  });

  it("is for the topics that it was given for", () => {
    expect(reasonAgainst(some, "manage")).toBeNull();
    expect(reasonAgainst(some, "manage", "orders.a")).toBeNull();
    expect(reasonAgainst(some, "manage", "orders.>")).toBeNull();
    expect(reasonAgainst(some, "manage", "a")).toBe(
      "The key has the scope manage for orders.> alone, and not for a.",
    );
    expect(reasonAgainst(some, "manage", ">")).not.toBeNull();
    const topics = ["a", "b", "c", "d", "e"];
    expect(reasonAgainst(who({ scope: "publish", topics }), "publish", "f")).toContain(
      "for a, b, c and 2 more alone",
    );
  });

  it("is of the whole tenant only without patterns", () => {
    expect(reasonAgainstWhole(who({ scope: "manage" }))).toBeNull();
    expect(reasonAgainstWhole(who({ scope: "admin" }))).toBeNull();
    expect(reasonAgainstWhole(who({ scope: "publish" }))).toBe("The key has no scope manage.");
    expect(reasonAgainstWhole(some)).toBe(
      "The scope manage for all topics is needed. The key has it only for orders.>.",
    );
  });

  it("is of many at once where one of its topics is named", () => {
    expect(reasonAgainstMany(who({ scope: "manage" }))).toBeNull();
    expect(reasonAgainstMany(some)).toBe(
      "The scope manage for all topics is needed. The key has it only for orders.>: filter by one of its topics first.",
    );
    expect(reasonAgainstMany(some, "orders.a")).toBeNull();
    expect(reasonAgainstMany(some, "a")).toContain("not for a");
  });

  it("is to read what it may subscribe to or manage", () => {
    const both = who(
      { scope: "subscribe", topics: ["a"] },
      { scope: "manage", topics: ["orders.>"] },
    );
    expect(reasonAgainstReading(both, "a")).toBeNull();
    expect(reasonAgainstReading(both, "orders.a")).toBeNull();
    expect(reasonAgainstReading(both, "b")).toContain("orders.>, a alone");
    expect(reasonAgainstReading(both, ">")).not.toBeNull();
    expect(reasonAgainstReading(who({ scope: "publish" }))).toContain(
      "neither the scope subscribe nor manage",
    );
    expect(reasonAgainstReading(who({ scope: "subscribe" }), ">")).toBeNull();
  });

  it("is to subscribe by a name where one grant has both", () => {
    const own = who(
      { scope: "subscribe", subscriptions: ["web.*"], topics: ["a"] },
      { scope: "subscribe", topics: ["b"] },
    );
    expect(reasonAgainstSubscribing(own, "a", "")).toBeNull();
    expect(reasonAgainstSubscribing(own, "a", "web.1")).toBeNull();
    expect(reasonAgainstSubscribing(own, "a", "other")).toContain("other for a");
    expect(reasonAgainstSubscribing(own, "b", "other")).toBeNull();
    expect(reasonAgainstSubscribing(own, "c", "")).toContain("scope subscribe for a, b alone");
  });

  it("is everything of nodes where nobody is asked who he is", () => {
    expect(reasonAgainstNodes(some)).toBe("The key has no scope admin.");
    const anyone = { ...who({ scope: "manage" }), actor: "anonymous", key_id: null } as WhoAmI;
    expect(reasonAgainstNodes(anyone)).toBeNull();
  });
});

describe("of which topics a key is told", () => {
  it("is said of a key for some alone", () => {
    const both = who(
      { scope: "manage", topics: ["orders.>"] },
      { scope: "subscribe", topics: ["stock.*"] },
    );
    expect(managedTopics(both)).toBe("orders.>");
    expect(readTopics(both)).toBe("orders.>, stock.*");
  });

  it("is not said of one for all, nor where it has no right at all", () => {
    const reader = who({ scope: "manage", topics: ["orders.>"] }, { scope: "subscribe" });
    expect([managedTopics(reader), readTopics(reader)]).toEqual(["orders.>", null]);
    expect(managedTopics(who({ scope: "admin" }))).toBeNull();
    expect(managedTopics(who({ scope: "publish", topics: ["a"] }))).toBeNull();
  });
});
