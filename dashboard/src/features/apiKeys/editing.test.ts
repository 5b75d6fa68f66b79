import { describe, expect, it } from "vitest";
import {
  choicesOf,
  keyChange,
  keyFieldsOf,
  keyProblems,
  newKeyOf,
} from "@/features/apiKeys/editing";
import { fieldsOf } from "@/features/tenants/model";
import { key } from "@/test/factories";

const NOW = Date.parse("2026-11-30T12:00:00.000Z");
const made = key({
  expires_at: "2026-12-30T12:00:00.000Z",
  limits: { connections: 5 },
  scopes: [
    { scope: "publish", topics: ["orders.>", "a.*"] },
    { scope: "subscribe", subscriptions: ["billing"] },
  ],
});
const fields = keyFieldsOf(made);

describe("a key that is made", () => {
  const choices = choicesOf(made.scopes);
  if (!choices) throw new Error("they can be shown");
  const limits = fieldsOf({});

  it("has only what was typed", () => {
    expect(newKeyOf({ choices, end: 0, limits, name: " web " })).toEqual({
      name: "web",
      scopes: made.scopes,
    });
    const some = { ...limits, connections: " 5 ", publishes_per_s: "0" };
    expect(newKeyOf({ choices, end: 1, limits: some, name: "web" })).toMatchObject({
      limits: { connections: 5, publishes_per_s: 0 },
      ttl_s: 3_600,
    });
  });

  it("is none with a limit that is no number", () => {
    const wrong = { ...limits, connections: "many" };
    expect(newKeyOf({ choices, end: 0, limits: wrong, name: "web" })).toBeNull();
  });
});

describe("a key that is edited", () => {
  it("has nothing to change at first", () => {
    expect(keyChange(fields, made, NOW)).toEqual({});
    expect(keyProblems(fields, made)).toEqual({ limits: null, name: null, scopes: null });
  });

  it("says only what differs", () => {
    const limits = { ...fields.limits, connections: "", message_bytes: "100" };
    expect(keyChange({ ...fields, limits, name: " desk " }, made, NOW)).toEqual({
      limits: { connections: null, message_bytes: 100 },
      name: "desk",
    });
  });

  it("gives all rights when one differs", () => {
    const choices = choicesOf(made.scopes);
    if (!choices) throw new Error("they can be shown");
    const publish = { ...choices.publish, topics: "orders.>" };
    expect(keyChange({ ...fields, choices: { ...choices, publish } }, made, NOW)).toEqual({
      scopes: [
        { scope: "publish", topics: ["orders.>"] },
        { scope: "subscribe", subscriptions: ["billing"] },
      ],
    });
  });

  it("ends at another time, or with its revocation", () => {
    expect(keyChange({ ...fields, end: 0 }, made, NOW)).toEqual({ expires_at: null });
    expect(keyChange({ ...fields, end: 1 }, made, NOW)).toEqual({
      expires_at: "2026-11-30T13:00:00.000Z",
    });
  });

  it("keeps rights that no field can say", () => {
    const odd = key({
      scopes: [
        { scope: "subscribe", topics: ["a"] },
        { scope: "subscribe", subscriptions: ["b"] },
      ],
    });
    expect(keyFieldsOf(odd).choices).toBeNull();
    expect(keyChange({ ...keyFieldsOf(odd), name: "x" }, odd, NOW)).toEqual({ name: "x" });
  });

  it("is not saved with what is wrong", () => {
    const wrong = { ...fields, limits: { ...fields.limits, connections: "many" }, name: " " };
    expect(keyProblems(wrong, made)).toMatchObject({
      limits: "Mend the limits.",
      name: "Say what or whom it is for.",
    });
  });
});
