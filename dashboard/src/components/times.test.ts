import { expect, it } from "vitest";
import { ago, clock, exactly } from "@/components/times";

const NOW = Date.parse("2026-11-30T10:00:00Z");

it("what has just happened, or by a clock that is ahead, was now", () => {
  expect(ago("2026-11-30T10:00:05Z", NOW)).toBe("now");
  expect(ago("2026-11-30T09:57:00Z", NOW)).toBe("3 min ago");
  expect(ago(NOW - 2_000, NOW)).toBe("2 s ago");
});

it("what is to come is in so long", () => {
  expect(ago("2026-12-01T11:00:00Z", NOW)).toBe("in 1 d");
  expect(ago("2026-11-30T10:00:30Z", NOW)).toBe("in 30 s");
});

it("a time of today is without its date", () => {
  const at = new Date(2026, 10, 30, 9, 5, 3, 7);
  expect(clock(at.toISOString(), at.getTime())).toBe("09:05:03.007");
  expect(clock(at.getTime(), new Date(2026, 11, 1).getTime())).toBe("2026-11-30 09:05:03");
});

it.each([
  [0, "2026-11-30 10:00:05.123 UTC"],
  [60, "2026-11-30 11:00:05.123 +01:00,\n2026-11-30 10:00:05.123 UTC"],
  [-630, "2026-11-29 23:30:05.123 -10:30,\n2026-11-30 10:00:05.123 UTC"],
])("a moment is told exactly here, %s minutes ahead of UTC, and in UTC", (ahead, told) => {
  expect(exactly("2026-11-30T10:00:05.123Z", ahead)).toBe(told);
});
