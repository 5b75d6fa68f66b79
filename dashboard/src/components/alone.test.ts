import { expect, it } from "vitest";
import { isAlone } from "@/components/alone";

it("is alone what has nothing beside it to draw a line to", () => {
  expect(isAlone([null, 4.2, null, undefined])).toBe(true);
  expect(isAlone([0])).toBe(true);
  expect(isAlone([])).toBe(false);
  expect(isAlone([null, null])).toBe(false);
  expect(isAlone([1, null, 2])).toBe(false);
});
