import { describe, expect, it } from "vitest";
import { LOOKS_COUNT, lookOf } from "@/features/nodes/looks";

describe("the looks of nodes", () => {
  it("are all different, and those of neighbours in both ways", () => {
    const looks = Array.from({ length: LOOKS_COUNT }, (_, node) => lookOf(node));
    expect(new Set(looks.map(({ colour, dashes }) => `${colour} ${dashes}`)).size).toBe(32);
    looks.slice(1).forEach((look, at) => {
      expect(look.colour).not.toBe(looks[at]?.colour);
      expect(look.dashes).not.toBe(looks[at]?.dashes);
    });
  });

  it("begin anew after the last", () => {
    expect(lookOf(LOOKS_COUNT)).toEqual(lookOf(0));
  });
});
