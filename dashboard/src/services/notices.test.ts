import { afterEach, expect, it } from "vitest";
import { close, complain, confirm, currentNotices } from "@/services/notices";

const texts = () => currentNotices().map(({ text }) => text);

afterEach(() => {
  for (const { id } of currentNotices()) close(id);
});

it("what was not done stays where there is too much to read, and what was done goes", () => {
  complain("failed", new Error("x"));
  for (let number = 0; number < 6; number += 1) confirm(`done ${number}`);
  expect(texts()).toEqual(["failed", "done 2", "done 3", "done 4", "done 5"]);
});

it("one is closed, and the others stay", () => {
  confirm("one");
  confirm("two");
  close(currentNotices()[0]?.id ?? 0);
  expect(texts()).toEqual(["two"]);
});
