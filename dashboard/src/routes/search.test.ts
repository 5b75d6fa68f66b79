import { expect, it } from "vitest";
import { permalink } from "@/features/messages/look";
import { parseSearch, stringifySearch } from "@/routes/search";

const NAMES = [
  ..."123 2026.10 1.0 1e5 12345678901234567890 007 null true -1 [1] {} a.b".split(" "),
  '"123"',
  "a b&c=d?#%",
  "Ä😀",
];

it.each(NAMES)("a name stays what it is in an address: %s", (name) => {
  expect(parseSearch(stringifySearch({ topic: name }))).toEqual({ topic: name });
  const link = new URL(permalink(name, "01a2", name, "https://h/ui/"));
  expect(parseSearch(link.search)).toEqual({ msg: "01a2", tenant: name, topic: name });
});

it("what is typed by hand is read as it is, and numbers are written as such", () => {
  expect(parseSearch("?tenant=123&subscription=&q=a+b")).toEqual({
    q: "a b",
    subscription: "",
    tenant: "123",
  });
  expect(stringifySearch({ from: 1_764_000_000, q: undefined, subscription: "" })).toBe(
    "?from=1764000000&subscription=",
  );
  expect(stringifySearch({})).toBe("");
});
