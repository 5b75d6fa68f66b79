import { describe, expect, it } from "vitest";
import { ApiError } from "@/api/errors";
import { grantText, nameOf, startWithKeys, whyNot, whyOver } from "@/features/signin/model";

describe("signing in", () => {
  it("says what is wrong", () => {
    const wrong = new ApiError(401, "unauthenticated", "no");
    expect(whyNot(wrong, "ck_live_x")).toBe("This key is wrong, or it was revoked or has expired.");
    expect(whyNot(wrong, "my password")).toContain("ck_live_");
    expect(whyNot(new ApiError(403, "forbidden", "it was rotated"), "ck_live_x")).toContain(
      "it was rotated",
    );
    const away = new ApiError(503, "unavailable", "stopping", null, null, 2);
    expect(whyNot(away, "ck_live_x")).toBe(
      "The key could not be checked: stopping. Try again in 2 s.",
    );
  });

  it("repeats no key", () => {
    expect(whyNot(new ApiError(401, "unauthenticated", "no"), "hunter2")).not.toContain("hunter2");
  });
});

describe("who has signed in", () => {
  it("has rights in words", () => {
    expect(grantText({ scope: "manage" })).toBe("manage");
    expect(grantText({ scope: "publish", topics: ["a.>", "b"] })).toBe("publish a.>, b");
    expect(grantText({ scope: "subscribe", subscriptions: [], topics: ["a"] })).toBe(
      "subscribe a, as no durable subscription",
    );
  });

  it("has the name of the key", () => {
    expect(nameOf({ actor: "key:x", key_name: "ops" })).toBe("ops");
    expect(nameOf({ actor: "default_api_key", key_name: null })).toBe("DEFAULT_API_KEY");
  });

  it("hears why it is over", () => {
    const ends = { expires_at: "2026-11-30T12:00:00.000Z" };
    expect(whyOver(ends, Date.parse(ends.expires_at))).toContain("reached its end");
    expect(whyOver(ends, Date.parse(ends.expires_at) - 1)).toContain("revoked");
    expect(whyOver({ expires_at: null }, 0)).toContain("revoked");
  });
});

it.each([
  ["http://127.0.0.1:9000/", "PORT=9000 ENABLE_AUTH=true make run"],
  ["http://127.0.0.1:8080/", "ENABLE_AUTH=true make run"],
  ["https://conduit.example/", "ENABLE_AUTH=true make run"],
  ["http://127.0.0.1:9000/a/b/", "ENABLE_AUTH=true make run"],
])("the server at %s is started with keys where it is: %s", (url, command) => {
  expect(startWithKeys(url)).toBe(command);
});
