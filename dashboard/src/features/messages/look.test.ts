import { expect, it } from "vitest";
import { clock, isPattern, permalink } from "@/features/messages/look";

it("a message has an address below the place of the page", () => {
  expect(permalink("orders.created", "01a2", null, "https://h/a/b/ui/")).toBe(
    "https://h/a/b/ui/messages?topic=orders.created&msg=01a2",
  );
  expect(permalink("o", "1", "acme", "https://h/ui/")).toContain("&tenant=acme");
});

it("a pattern is told from a name", () => {
  expect(["a.b", "a.*", ">", "a.>"].map(isPattern)).toEqual([false, true, true, true]);
});

it("a time of today is without its date", () => {
  const at = new Date(2026, 10, 30, 9, 5, 3, 7);
  expect(clock(at.toISOString(), at)).toBe("09:05:03.007");
  expect(clock(at.toISOString(), new Date(2026, 11, 1))).toBe("11-30 09:05:03");
});
