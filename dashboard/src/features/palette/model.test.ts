import { describe, expect, it } from "vitest";
import { choices, moved } from "@/features/palette/model";

describe("the palette", () => {
  it("has pages first, then topics and subscriptions with their names as an address has them", () => {
    const names = { subscriptions: ["top seller"], topics: ["orders.top"] };
    expect(choices("top", names).map(({ label, to }) => [label, to])).toEqual([
      ["Topics", "/topics"],
      ["orders.top", "/topics/orders.top"],
      ["top seller", "/subscriptions/top%20seller"],
    ]);
  });

  it("offers no name that was found for what was typed before", () => {
    const names = { subscriptions: ["alpha"], topics: ["ALPINE", "alp"] };
    expect(choices("alpi", names).map(({ label }) => label)).toEqual(["ALPINE"]);
    expect(choices("alpz", names)).toEqual([]);
  });

  it("goes round, and stays inside of what is left", () => {
    expect(moved(2, "ArrowDown", 3)).toBe(0);
    expect(moved(0, "ArrowUp", 3)).toBe(2);
    expect(moved(9, "", 3)).toBe(2);
    expect(moved(0, "ArrowDown", 0)).toBe(0);
  });
});
