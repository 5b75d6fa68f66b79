import { describe, expect, it } from "vitest";
import { examples } from "@/features/connect/model";

const texts = (hasAuth: boolean) =>
  examples({ hasAuth, topic: "orders.created", url: "https://h/a/" }).map(({ text }) => text);

describe("examples", () => {
  it("name the server and the topic", () => {
    for (const text of texts(false)) {
      expect(text).toContain("orders.created");
      expect(text).toMatch(/(?:https|wss):\/\/h\/a[/ "\n]/);
      expect(text).not.toContain("a//");
    }
  });

  it("say where a key comes from, where one is asked for", () => {
    expect(texts(false).join()).not.toMatch(/API_KEY|token/);
    expect(texts(true).join()).toContain("Bearer $CONDUIT_API_KEY");
  });
});
