import { expect, it } from "vitest";
import { covers } from "@/services/covers";

it.each([
  ["a.b", "a.b", true],
  ["a.b", "a.c", false],
  ["a.*", "a.b", true],
  ["a.*", "a", false],
  ["a.*", "a.b.c", false],
  ["*.b", "a.b", true],
  ["a.>", "a.b.c", true],
  ["a.>", "a", false],
  [">", "a", true],
  ["*.>", "a.b", true],
  ["*.>", "a", false],
  ["a.>", "a.*", true],
  ["a.>", "a.>", true],
  ["a.*", "a.>", false],
  ["a.*", "a.*", true],
  ["a.b", "a.*", false],
  ["a.>", ">", false],
])("%s and %s: %s", (pattern, topic, has) => expect(covers(pattern, topic)).toBe(has));
