import { describe, expect, it } from "vitest";
import { publishActs, subscribeActs, subscribeFrame } from "@/features/connect/acts";

const PLACE = { hasAuth: false, tenant: null, url: "https://h/a/" };
const ACT = {
  headers: { trace: "it's" },
  key: "a b",
  payload: `{"n": 9007199254740993, "big": 1e400, "text": "it's \\"\`\${x}\`\\""}`,
  topic: "orders.created",
};
const SUB = { ack: "explicit", start: "new", subscription: "", topic: "orders.*" } as const;

const textOf = (all: readonly { label: string; text: string }[], label: string) =>
  all.find((each) => each.label.startsWith(label))?.text ?? "";

/** What a shell makes of single quotes. */
const unquote = (text: string) => text.replaceAll("'\\''", "\u0000").replaceAll("'", "");

describe("publishing elsewhere", () => {
  it("has the payload to the character", () => {
    const all = publishActs(ACT, PLACE);
    for (const label of ["curl", "Command line"]) {
      expect(unquote(textOf(all, label)).replaceAll("\u0000", "'")).toContain(ACT.payload);
    }
    const script = textOf(all, "TypeScript");
    const body = script.slice(script.indexOf("`"), script.lastIndexOf("`") + 1);
    // biome-ignore lint/security/noGlobalEval: the test runs what people would
    expect(eval(body)).toContain(ACT.payload);
    const literal = /Raw\((".*")\.encode/.exec(textOf(all, "Python"))?.[1] ?? "";
    expect(JSON.parse(literal)).toBe(ACT.payload);
  });

  it("names the key where one is asked for, and never has it", () => {
    for (const act of [publishActs(ACT, PLACE), subscribeActs(SUB, PLACE)]) {
      expect(act.map(({ text }) => text).join()).not.toContain("API_KEY");
    }
    const all = publishActs(ACT, { ...PLACE, hasAuth: true });
    expect(textOf(all, "curl")).toContain('"Authorization: Bearer $CONDUIT_API_KEY"');
    expect(textOf(all, "Python")).toContain('os.environ["CONDUIT_API_KEY"]');
  });
});

describe("for a tenant that an operator has chosen", () => {
  const place = { ...PLACE, hasAuth: true, tenant: "acme" };

  it("publishes and subscribes there", () => {
    for (const all of [
      publishActs(ACT, place),
      subscribeActs({ ...SUB, topic: "orders" }, place),
    ]) {
      expect(textOf(all, "curl")).toContain("-H 'X-Conduit-Tenant: acme'");
      expect(textOf(all, "Command line")).toContain(" --tenant acme");
      expect(textOf(all, "Python")).toContain(', tenant="acme")');
      expect(textOf(all, "TypeScript")).toContain('"X-Conduit-Tenant": "acme"');
    }
  });

  it("opens a socket by a ticket, which has named the tenant", () => {
    const script = textOf(subscribeActs(SUB, place), "TypeScript");
    expect(script).toContain('"https://h/a/api/tickets"');
    expect(script).toContain('"wss://h/a/ws?ticket=" + ticket');
    expect(script).not.toContain('type: "auth"');
  });
});

describe("subscribing elsewhere", () => {
  it("is the same subscription", () => {
    const act = { ...SUB, start: "42", subscription: "billing" };
    const all = subscribeActs(act, PLACE);
    expect(textOf(all, "Command line")).toBe(
      "conduit sub 'orders.*' --subscription billing --from 42 --ack manual --url https://h/a",
    );
    expect(textOf(all, "Python")).toContain('subscribe("orders.*", "billing", start=42)');
    expect(textOf(all, "TypeScript")).toContain('"start":{"seq":42}');
    expect(textOf(all, "TypeScript")).toContain("wss://h/a/ws");
  });

  it("has as much at once, and for as long", () => {
    const bounded = { ...SUB, ackWaitMs: 30_000, windowCount: 50 };
    expect(textOf(subscribeActs(bounded, PLACE), "Command line")).toContain(
      "--ack manual --max-in-flight 50 --ack-wait 30s",
    );
    expect(textOf(subscribeActs(bounded, PLACE), "Python")).toContain(
      "ack_wait_ms=30000, max_in_flight=50",
    );
    expect(subscribeFrame(bounded)).toMatchObject({ ack_wait_ms: 30_000, max_in_flight: 50 });
    // A durable one has its own settings.
    const durable = subscribeFrame({ ...bounded, subscription: "s" });
    expect(durable).not.toHaveProperty("ack_wait_ms");
    expect(durable).toMatchObject({ prefetch: 50 });
  });

  it("reads no pattern by curl, which cannot be", () => {
    expect(textOf(subscribeActs(SUB, PLACE), "curl")).not.toContain("/api/topics");
    expect(textOf(subscribeActs({ ...SUB, topic: "orders" }, PLACE), "curl")).toContain(
      "/api/topics/orders/messages",
    );
  });

  it("acks by itself or not, as one has chosen", () => {
    expect(textOf(subscribeActs(SUB, PLACE), "Python")).toContain("delivery.ack()");
    const auto = { ...SUB, ack: "auto" } as const;
    expect(textOf(subscribeActs(auto, PLACE), "Python")).not.toContain("delivery.ack()");
    expect(subscribeFrame(auto)).toEqual({ ack: "auto", topic: "orders.*", type: "subscribe" });
  });
});
