import { expect, it } from "vitest";
import { aheadBy, reportServerTime, serverAheadMs } from "@/live/serverClock";

it.each([
  ["between question and answer", 1_040, 0],
  ["an hour ahead", 3_601_050, 3_600_000],
  ["a minute behind", -58_950, -60_000],
])("a server's time that is %s", (_, serverAt, ahead) => {
  expect(aheadBy({ answeredAt: 1_100, askedAt: 1_000, serverAt })).toBe(ahead);
});

it("an answer that took long, came before its question or has no time says nothing", () => {
  expect(aheadBy({ answeredAt: 7_000, askedAt: 1_000, serverAt: 90_000 })).toBeNull();
  expect(aheadBy({ answeredAt: 500, askedAt: 1_000, serverAt: 90_000 })).toBeNull();
  expect(aheadBy({ answeredAt: 1_100, askedAt: 1_000, serverAt: Number.NaN })).toBeNull();
});

it("what was known stays until an answer says something else", () => {
  reportServerTime({ answeredAt: 1_100, askedAt: 1_000, serverAt: 61_050 });
  reportServerTime({ answeredAt: 9_100, askedAt: 1_000, serverAt: 5 });
  expect(serverAheadMs()).toBe(60_000);
  reportServerTime({ answeredAt: 2_000, askedAt: 2_000, serverAt: 2_000 });
  expect(serverAheadMs()).toBe(0);
});
