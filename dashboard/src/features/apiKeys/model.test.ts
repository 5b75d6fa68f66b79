import { describe, expect, it } from "vitest";
import {
  consequences,
  endsOf,
  grantsOf,
  NOTHING_CHOSEN,
  patterns,
  reasonAgainstGiving,
  type ScopeChoices,
  scopesProblem,
  stateOf,
} from "@/features/apiKeys/model";
import { key, whoami } from "@/test/factories";

const NOW = Date.parse("2026-11-30T12:00:00.000Z");
const at = (hours: number) => new Date(NOW + hours * 3_600_000).toISOString();

describe("the state of a key", () => {
  it.each([
    [key(), "active", true],
    [key({ revoked_at: at(-1) }), "revoked", false],
    [key({ expires_at: at(-1), rotating_until: at(1) }), "expired", false],
    [key({ rotating_until: at(1) }), "rotating", true],
    [key({ rotating_until: at(-1) }), "active", true],
    [key({ expires_at: at(24) }), "active, ends soon", true],
    [key({ expires_at: at(24 * 30) }), "active", true],
  ])("is what it is worth now", (answer, label, isGood) => {
    expect(stateOf(answer, NOW)).toMatchObject({ isGood, label });
  });
});

it.each([
  [key(), ["Ends"]],
  [key({ rotating_until: at(1) }), ["Ends", "Old secret until"]],
  [key({ rotating_until: at(-1) }), ["Ends"]],
  [key({ expires_at: at(-1), rotating_until: at(1) }), ["Ended"]],
  [key({ revoked_at: at(-1), rotating_until: at(1) }), ["Revoked"]],
])("of the end of a key that is said which is to come, or has", (answer, names) => {
  expect(endsOf(answer, NOW).map(([name]) => name)).toEqual(names);
});

describe("rights", () => {
  const chosen = (change: Partial<ScopeChoices>): ScopeChoices => ({
    ...NOTHING_CHOSEN,
    ...change,
  });

  it("are what was chosen, with the patterns that were typed", () => {
    const choices = chosen({
      publish: { isChosen: true, subscriptions: "x", topics: "a.>, b.*\n a.>" },
      subscribe: { isChosen: true, subscriptions: "web.*", topics: " " },
    });
    expect(grantsOf(choices)).toEqual([
      { scope: "publish", topics: ["a.>", "b.*"] },
      { scope: "subscribe", subscriptions: ["web.*"] },
    ]);
    expect(scopesProblem(choices)).toBeNull();
  });

  it("are at least one, with as many patterns as a key may have", () => {
    expect(scopesProblem(NOTHING_CHOSEN)).toContain("at least one");
    const topics = Array.from({ length: 65 }, (_, each) => `t${each}`).join(" ");
    const many = chosen({ manage: { isChosen: true, subscriptions: "", topics } });
    expect(scopesProblem(many)).toContain("64");
  });

  it("are given only by who has them", () => {
    expect(reasonAgainstGiving(whoami(), "manage")).toBeNull();
    expect(reasonAgainstGiving(whoami(), "publish")).toContain("publish");
    const operator = whoami({ scopes: [{ scope: "admin" }] });
    expect(reasonAgainstGiving(operator, "publish")).toBeNull();
  });

  it("have patterns between commas, blanks and lines", () => {
    expect(patterns(" a, b\n\tc ,,a ")).toEqual(["a", "b", "c"]);
    expect(patterns("")).toEqual([]);
  });
});

describe("revoking", () => {
  it("says what closes, and that it is one's own", () => {
    expect(consequences(key(), false).join(" ")).toContain("No use of it is known");
    expect(consequences(key({ last_used_at: at(-1) }), true).at(-1)).toContain("signed in");
  });
});
