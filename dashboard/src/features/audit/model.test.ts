import { describe, expect, it } from "vitest";
import { AuditAnswer } from "@/api/schema";
import {
  actionOf,
  actorOf,
  fromTimeOf,
  keyName,
  said,
  tenantsToAsk,
  times,
} from "@/features/audit/model";

describe("the audit log", () => {
  it("says what was done", () => {
    expect(said("key.revoke")).toBe("revoked key");
    expect(said("session.begin")).toBe("signed in to the dashboard");
    expect(said("dead_letter.create")).toBe("created dead letter");
    expect(said("node.drain")).toBe("node.drain");
  });

  it("says how often", () => {
    const entry = (detail: Record<string, unknown>) =>
      AuditAnswer.parse({
        action: "sign_in.fail",
        actor: "anonymous",
        address: "::1",
        at: "2026-11-30T12:00:00.000Z",
        detail,
        id: "1",
        request_id: "",
        target: "",
        tenant: "",
      });
    expect(times(entry({ count: 5 }))).toBe(5);
    expect(times(entry({ times: 3 }))).toBe(3);
    expect(times(entry({ count: 1 }))).toBeNull();
    expect(times(entry({ count: "5" }))).toBeNull();
  });

  it("is asked for what it shows", () => {
    expect(actionOf("revoked key")).toBe("key.revoke");
    expect(actionOf(" Signed in to the dashboard ")).toBe("session.begin");
    expect(actionOf("topic.delete")).toBe("topic.delete");
    const names = new Map([["JqkVN6Sk", "web shop"]]);
    expect(actorOf("web shop", names)).toBe("key:JqkVN6Sk");
    expect(actorOf("JqkVN6Sk", names)).toBe("key:JqkVN6Sk");
    expect(actorOf("anonymous", names)).toBe("anonymous");
    expect(keyName("key:JqkVN6Sk", names)).toBe("web shop");
    expect(keyName("key:other", names)).toBeNull();
  });

  it("is asked for since a time", () => {
    expect(fromTimeOf("all", 0)).toBeNull();
    expect(fromTimeOf("1h", Date.parse("2026-11-30T12:00:00.000Z"))).toBe(
      "2026-11-30T11:00:00.000Z",
    );
  });
});

it("asks tenants that are there, once, for the names of keys that are not known", () => {
  const by = (actor: string, tenant: string) => ({ actor, tenant });
  const entries = [
    by("key:known", "acme"),
    by("key:new", "blue"),
    by("key:newer", "blue"),
    by("key:old", "deleted"),
    by("anonymous", "green"),
  ];
  const names = new Map([["known", "web"]]);
  const there = ["acme", "blue", "green"];
  expect(tenantsToAsk(entries, names, there, [])).toEqual(["blue"]);
  expect(tenantsToAsk(entries, names, there, ["blue"])).toEqual([]);
});
