import { expect, it } from "vitest";
import { isTyped, toType } from "@/components/typed";

it("a name is typed as it is seen", () => {
  for (const name of [
    " a b",
    "a b ",
    "a  b",
    "a\tb",
    "a\nb",
    "a\u00a0b",
    "a \u202eb",
    "\u2068a b\u2069",
  ]) {
    expect(isTyped("a b", name)).toBe(true);
    expect(isTyped(name, name)).toBe(true);
  }
  for (const typed of ["", "ab", "A b", "a b c"]) expect(isTyped(typed, "a b")).toBe(false);
});

it("for a name of which nothing is seen something else is typed", () => {
  expect(toType("web", "KD0AFPa2")).toBe("web");
  for (const name of ["\t", " \u00a0", "\u200b"]) expect(toType(name, "KD0AFPa2")).toBe("KD0AFPa2");
});
