import { describe, expect, it } from "vitest";
import type { Grant, WhoAmI } from "@/api/schema";
import { reasonAgainst, reasonAgainstWhole } from "@/services/server";

const who = (...scopes: Grant[]) => ({ scopes }) as WhoAmI;

describe("what a key may do", () => {
  it("is what it was given", () => {
    expect(reasonAgainst(who({ scope: "subscribe" }), "manage")).toContain("right to manage");
    expect(reasonAgainst(who({ scope: "admin" }), "manage")).toBeNull();
  });

  it("is of the whole tenant only without patterns", () => {
    expect(reasonAgainstWhole(who({ scope: "manage" }))).toBeNull();
    expect(reasonAgainstWhole(who({ scope: "admin" }))).toBeNull();
    expect(reasonAgainstWhole(who({ scope: "publish" }))).toContain("right to manage");
    const some = who({ scope: "manage", topics: ["orders.>"] });
    expect(reasonAgainstWhole(some)).toContain("some topics alone");
  });
});
