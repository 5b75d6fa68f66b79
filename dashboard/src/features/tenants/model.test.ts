import { describe, expect, it } from "vitest";
import {
  fieldsOf,
  fullest,
  limitProblem,
  limitsChange,
  limitTexts,
  reasonAgainstDeleting,
  shares,
  tenantNameProblem,
  toneOfShare,
} from "@/features/tenants/model";
import { tenant } from "@/test/factories";

const usage = { ...tenant().usage, stored_bytes: 512, topics: 9 };

describe("what a tenant uses", () => {
  it("is told against its limits, and without them as it is", () => {
    const found = shares(tenant({ limits: { topics: 10 }, usage }));
    expect(found.find(({ kind }) => kind.limit === "topics")).toMatchObject({
      bound: 10,
      share: 0.9,
      used: 9,
    });
    expect(found.find(({ kind }) => kind.limit === "stored_bytes")).toMatchObject({
      bound: null,
      share: null,
      used: 512,
    });
  });

  it("is nearest to one of its limits", () => {
    const one = tenant({ limits: { stored_bytes: 1024, topics: 10 }, usage });
    expect(fullest(one)?.kind.limit).toBe("topics");
    expect(fullest(tenant({ usage }))).toBeNull();
    expect(fullest(tenant({ limits: { topics: 0 }, usage }))?.share).toBeGreaterThan(1);
    expect(fullest(tenant({ limits: { topics: 0 } }))?.share).toBe(0);
  });

  it("is bad when there is nearly no more", () => {
    expect([0, 0.75, 0.95, 2].map(toneOfShare)).toEqual(["ok", "warn", "bad", "bad"]);
  });
});

describe("limits", () => {
  const before = { topics: 10, publishes_per_s: 5 };

  it("that were changed are told, and no others", () => {
    const fields = { ...fieldsOf(before), connections: "3", topics: "" };
    expect(limitsChange(fields, before)).toEqual({ connections: 3, topics: null });
    expect(limitsChange(fieldsOf(before), before)).toEqual({});
  });

  it("are whole numbers", () => {
    expect(["", "0", " 12 ", "9007199254740992"].map(limitProblem)).toEqual(Array(4).fill(null));
    for (const text of ["-1", "1.5", "1e3", "x", "9007199254740993"]) {
      expect(limitProblem(text)).not.toBeNull();
      expect(limitsChange({ ...fieldsOf({}), topics: text }, {})).toBeNull();
    }
  });

  it("are told in words", () => {
    expect(limitTexts({ message_bytes: 1024, topics: 1000 })).toEqual([
      "Topics: 1,000",
      "Bytes of a message: 1.0 KiB",
    ]);
  });
});

describe("a tenant", () => {
  it("has a name as the server takes it", () => {
    expect(tenantNameProblem("acme_1-x")).toBeNull();
    for (const name of ["", "Acme", "a b", "a.b", "a".repeat(64)]) {
      expect(tenantNameProblem(name)).not.toBeNull();
    }
  });

  it("is deleted when nothing is in it", () => {
    expect(reasonAgainstDeleting(tenant())).toBeNull();
    expect(reasonAgainstDeleting(tenant({ usage }))).toContain("9 topics");
    expect(reasonAgainstDeleting(tenant({ name: "default" }))).toContain("always");
  });
});
