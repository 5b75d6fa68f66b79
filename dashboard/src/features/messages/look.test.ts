import { expect, it } from "vitest";
import { isPattern, permalink } from "@/features/messages/look";

it("a message has an address below the place of the page", () => {
  expect(permalink("orders.created", "01a2", null, "https://h/a/b/ui/")).toBe(
    "https://h/a/b/ui/messages?topic=orders.created&msg=01a2",
  );
  expect(permalink("o", "1", "acme", "https://h/ui/")).toContain("&tenant=acme");
});

it("a pattern is told from a name", () => {
  expect(["a.b", "a.*", ">", "a.>"].map(isPattern)).toEqual([false, true, true, true]);
});
