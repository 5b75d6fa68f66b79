import { describe, expect, it } from "vitest";
import { examples } from "@/features/connect/model";

const TARGET = {
  hasAuth: false,
  isNew: false,
  tenant: null,
  topic: "orders.created",
  url: "https://h/a/",
};
const texts = (change: Partial<Parameters<typeof examples>[0]>) =>
  examples({ ...TARGET, ...change }).map(({ text }) => text);

describe("examples", () => {
  it("name the server and the topic", () => {
    for (const text of texts({})) {
      expect(text).toContain("orders.created");
      expect(text).toMatch(/(?:https|wss):\/\/h\/a[/ "\n]/);
      expect(text).not.toContain("a//");
    }
  });

  it("say where a key comes from, where one is asked for", () => {
    expect(texts({}).join()).not.toMatch(/API_KEY|token/);
    for (const text of texts({ hasAuth: true })) expect(text).toMatch(/CONDUIT_API_KEY|--url/);
  });

  it("name the tenant that was chosen, each of them", () => {
    expect(texts({ hasAuth: true }).join()).not.toMatch(/tenant/i);
    for (const text of texts({ hasAuth: true, tenant: "acme" })) expect(text).toContain("acme");
  });

  it("make the topic first where there is none", () => {
    expect(texts({ isNew: true }).join()).toMatch(/api\/topics .*--create/s);
    expect(texts({}).join()).not.toMatch(/api\/topics|--create/);
    const [, , python = ""] = texts({ isNew: true });
    expect(python.indexOf("subscribe(")).toBeLessThan(python.indexOf("publish("));
  });
});
