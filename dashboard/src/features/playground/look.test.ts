import { expect, it } from "vitest";
import { startProblem } from "@/features/playground/look";

it.each(["new", "earliest", "0", "1200", "2026-11-30T10:00:00Z", "2026-11-30T10:00:00.5+01:00"])(
  "a stream may begin at %s",
  (start) => expect(startProblem(start)).toBeNull(),
);

it.each(["", "-1", "latest", "yesterday", "2026-11-30"])("and not at %s", (start) => {
  expect(startProblem(start)).not.toBeNull();
});
