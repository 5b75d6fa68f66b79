import { expect, it } from "vitest";
import { foreign } from "@/components/foreign";

it("text that turns nothing is as it was typed", () => {
  for (const text of ["", "orders.a", "Zoë’s “desk” – 1/2", "日本", "😀"])
    expect(foreign(text)).toBe(text);
});

it("text that could turn the words around it is isolated from them", () => {
  for (const text of ["billing \u202e", "שלום", "مرحبا", "\u200f!"]) {
    expect(foreign(text)).toBe(`\u2068${text}\u2069`);
  }
});

it("no text ends its own isolation", () => {
  expect(foreign("a\u2069\u202eb\u2066")).toBe("\u2068a\u202eb\u2069");
});
