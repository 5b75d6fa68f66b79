import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { setCaller, setSession } from "@/api/caller";
import { ApiError } from "@/api/errors";
import { address, request } from "@/api/request";
import { currentConnection } from "@/live/connection";

const Thing = z.object({ name: z.string() });

function answering(body: string, init: ResponseInit = {}) {
  const fetched = vi.fn(async (..._: Parameters<typeof fetch>) => new Response(body, init));
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error(`not an ApiError: ${String(error)}`);
  return error;
}

afterEach(() => {
  vi.unstubAllGlobals();
  setCaller({ tenant: null });
});

describe("a request", () => {
  it("goes to the server beside the dashboard, wherever that is", () => {
    expect(address("/api/topics", { cursor: null, q: "a b&c" })).toBe(
      "http://conduit.test/api/topics?q=a+b%26c",
    );
  });

  it("gives what the schema says, without fields that it does not know", async () => {
    answering('{"name": "a", "newer": 1}');
    expect(await request(Thing, "/api/x")).toEqual({ name: "a" });
    expect(currentConnection().state).toBe("live");
  });

  it("fails on an answer of another shape, and says where", async () => {
    answering('{"name": 1}');
    const error = await failure(request(Thing, "/api/x"));
    expect(error.code).toBe("unexpected_answer");
    expect(error.message).toContain("name");
    answering("<html>");
    expect((await failure(request(Thing, "/api/x"))).code).toBe("unexpected_answer");
  });

  it("fails with the server's code and the id of the request", async () => {
    const told = { code: "topic_not_found", detail: "no topic x", request_id: "r-1", status: 404 };
    answering(JSON.stringify(told), { status: 404 });
    const error = await failure(request(Thing, "/api/x"));
    expect(error).toMatchObject({ code: "topic_not_found", requestId: "r-1", status: 404 });
    expect(error.isTransient).toBe(false);
  });

  it("does not take a proxy's error for the server's", async () => {
    answering("<h1>Bad gateway</h1>", { headers: { "retry-after": "3" }, status: 502 });
    const error = await failure(request(Thing, "/api/x"));
    expect(error).toMatchObject({ code: "unexpected_answer", retryAfterS: 3, status: 502 });
    expect(error.isTransient).toBe(true);
  });

  it("says that the server is not reached", async () => {
    vi.stubGlobal("fetch", vi.fn().mockRejectedValue(new TypeError("failed")));
    expect((await failure(request(Thing, "/api/x"))).code).toBe("unreachable");
    expect(currentConnection().state).toBe("lost");
  });

  it("has the key and the tenant in its headers, and in no address", async () => {
    const fetched = answering('{"name": "a"}');
    setCaller({ tenant: "acme" });
    await request(Thing, "/api/x", { body: { a: 1 }, key: "a-key", method: "POST" });
    const [url, init] = fetched.mock.calls[0] ?? [];
    expect(String(url)).not.toContain("a-key");
    expect(init?.headers).toMatchObject({
      authorization: "Bearer a-key",
      "content-type": "application/json",
      "x-conduit-session": "1",
      "x-conduit-tenant": "acme",
    });
    expect(String(init?.body)).not.toContain("a-key");
  });

  it("names no tenant where it asks who somebody is, or of all tenants", async () => {
    const fetched = answering('{"name": "a"}');
    setCaller({ tenant: "nope" });
    await request(Thing, "/api/x", { tenant: null });
    setCaller({ tenant: null });
    const [, init] = fetched.mock.calls[0] ?? [];
    expect(init?.headers).not.toHaveProperty("x-conduit-tenant");
  });

  it("says that a page of the server asks, and no key of its own", async () => {
    const fetched = answering('{"name": "a"}');
    await request(Thing, "/api/x");
    const [, init] = fetched.mock.calls[0] ?? [];
    expect(init?.headers).toEqual({ accept: "application/json", "x-conduit-session": "1" });
  });

  it("says of which session the page is, but to ask who the browser's session is of", async () => {
    const fetched = answering('{"name": "a"}');
    setSession("mine");
    await request(Thing, "/api/x");
    await request(Thing, "/api/x", { anySession: true });
    setSession(null);
    const said = fetched.mock.calls.map(([, init]) =>
      new Headers(init?.headers).get("x-conduit-session"),
    );
    expect(said).toEqual(["mine", "1"]);
  });

  it("does not take a key that no header can carry for a server that is gone", async () => {
    answering('{"name": "a"}');
    await expect(request(Thing, "/api/x", { key: "“ck_live”" })).rejects.toMatchObject({
      code: "unauthenticated",
    });
    setCaller({ tenant: "😀" });
    await expect(request(Thing, "/api/x")).rejects.toMatchObject({ code: "tenant_not_found" });
    setCaller({ tenant: null });
    expect(currentConnection().state).not.toBe("lost");
  });
});
