import { expect, it } from "vitest";
import { Headers } from "@/api/headers";

it("a header is kept whatever its name is", () => {
  const headers = JSON.parse('{"b":"1","__proto__":"2","constructor":"3"}');
  expect(Headers.parse(headers)).toEqual([
    ["b", "1"],
    ["__proto__", "2"],
    ["constructor", "3"],
  ]);
});

it("what is no text by name is no headers", () => {
  for (const wrong of [null, [], ["a"], "a", 1, { a: 1 }, JSON.parse('{"__proto__":{}}')]) {
    expect(Headers.safeParse(wrong).success).toBe(false);
  }
});
