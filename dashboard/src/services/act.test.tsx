import { onlineManager, QueryClientProvider } from "@tanstack/react-query";
import { act as inReact, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { setCaller } from "@/api/caller";
import { ApiError } from "@/api/errors";
import { type Ask, useAct } from "@/services/act";
import { createQueryClient } from "@/services/client";
import { close, currentNotices } from "@/services/notices";
import { whoamiQuery } from "@/services/server";
import { whoami } from "@/test/factories";

const Thing = z.object({ name: z.string() });
type Thing = z.infer<typeof Thing>;

/** A server whose answers are given by the test. */
function held() {
  const answers: ((status: number) => void)[] = [];
  const fetched = vi.fn((..._: Parameters<typeof fetch>) => {
    return new Promise<Response>((resolve) => {
      answers.push((status) => resolve(answered(status)));
    });
  });
  vi.stubGlobal("fetch", fetched);
  const tenants = () =>
    fetched.mock.calls.map(([, init]) => new Headers(init?.headers).get("x-conduit-tenant"));
  return { answer: (status = 200) => answers.shift()?.(status), tenants };
}

function answered(status: number): Response {
  if (status === 200) return new Response('{"name": "a"}');
  return new Response(
    `{"code": "${status === 503 ? "outcome_unknown" : "gone"}", "detail": "", "request_id": "r"}`,
    { status },
  );
}

const said = () => currentNotices().map(({ text }) => text);

const once = (ask: Ask) => ask(Thing, "/api/x", { method: "POST" });

function acting(does: (ask: Ask) => Promise<Thing> = once) {
  const client = createQueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  client.setQueryData(whoamiQuery().queryKey, whoami());
  const hook = renderHook(() => useAct<void, Thing>(does, { touches: [["things"]] }), {
    wrapper,
  });
  return { client, ...hook };
}

afterEach(() => {
  vi.unstubAllGlobals();
  setCaller({ tenant: null });
  for (const { id } of currentNotices()) close(id);
  onlineManager.setOnline(true);
});

describe("an act", () => {
  it("is sent once, however often and quickly it is started", async () => {
    const server = held();
    const { result } = acting();
    const onDone = vi.fn();
    inReact(() => {
      result.current.start(undefined, onDone);
      result.current.start(undefined, onDone);
    });
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    expect(result.current.isOut()).toBe(true);
    server.answer();
    await waitFor(() => expect(result.current.isSuccess).toBe(true));
    expect(onDone).toHaveBeenCalledOnce();
    expect(result.current.isOut()).toBe(false);
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(2));
  });

  it("is for the tenant of the page that has offered it, and ends with that page", async () => {
    const server = held();
    setCaller({ tenant: "acme" });
    const { result } = acting(async (ask) => {
      await once(ask);
      return once(ask);
    });
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toEqual(["acme"]));
    setCaller({ tenant: "blue" });
    server.answer();
    await waitFor(() => expect(result.current.error).toMatchObject({ code: "caller_changed" }));
    inReact(() => result.current.start());
    await waitFor(() => expect(result.current.isPending).toBe(false));
    expect(server.tenants()).toEqual(["acme"]);
  });

  it("is not done as somebody else who has signed in since", async () => {
    const server = held();
    const { client, result } = acting();
    client.setQueryData(whoamiQuery().queryKey, whoami({ actor: "key:other" }));
    inReact(() => result.current.start());
    await waitFor(() => expect(result.current.error).toMatchObject({ code: "caller_changed" }));
    expect(server.tenants()).toEqual([]);
  });

  it.each([200, 404])(
    "is told to nobody else who has signed in since, answered with %i",
    async (status) => {
      const server = held();
      const { client, result, unmount } = acting();
      const onDone = vi.fn();
      inReact(() => result.current.start(undefined, onDone, ({ name }) => `${name} was made`));
      await waitFor(() => expect(server.tenants()).toHaveLength(1));
      result.current.leave({ may: "It may have been made", not: "It was not made" });
      client.setQueryData(whoamiQuery().queryKey, whoami({ actor: "key:other" }));
      server.answer(status);
      await waitFor(() => expect(result.current.isPending).toBe(false));
      unmount();
      expect(said()).toEqual([]);
      expect(onDone).not.toHaveBeenCalled();
    },
  );

  it("does not wait for a browser that says it is offline, to be done when nobody wants it", async () => {
    const server = held();
    onlineManager.setOnline(false);
    const { result } = acting();
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    server.answer();
    await waitFor(() => expect(result.current.isSuccess).toBe(true));
  });

  it("says what was done, also when whoever started it has gone, and calls nobody then", async () => {
    const server = held();
    const { result, unmount } = acting();
    const onDone = vi.fn();
    inReact(() => result.current.start(undefined, onDone, ({ name }) => `${name} was made`));
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    unmount();
    server.answer();
    await waitFor(() => expect(said()).toEqual(["a was made"]));
    expect(onDone).not.toHaveBeenCalled();
  });

  it.each([
    [404, "It was not made"],
    [503, "It may have been made"],
  ])("tells by words left behind that it has failed with %i", async (status, told) => {
    const server = held();
    const { result, unmount } = acting();
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    result.current.leave({ may: "It may have been made", not: "It was not made" });
    unmount();
    server.answer(status);
    await waitFor(() => expect(said()).toEqual([told]));
    expect(currentNotices()[0]?.error).toMatchObject({ status });
  });

  it("has done nothing if its look before fails, and can be tried again", async () => {
    const server = held();
    const { result } = acting(async (ask) => {
      await ask(Thing, "/api/x");
      return once(ask);
    });
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    server.answer(503);
    await waitFor(() => expect(result.current.error).toMatchObject({ isOutcomeUnknown: false }));
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(2));
    server.answer();
    await waitFor(() => expect(server.tenants()).toHaveLength(3));
    server.answer(503);
    await waitFor(() => expect(result.current.error).toMatchObject({ isOutcomeUnknown: true }));
  });

  it("tells nothing twice: of what has a dialog, that tells its failure", async () => {
    const server = held();
    const { result } = acting();
    inReact(() => result.current.start());
    await waitFor(() => expect(server.tenants()).toHaveLength(1));
    result.current.leave({ may: "It may have been made", not: "It was not made" });
    result.current.leave(null);
    server.answer(404);
    await waitFor(() => expect(result.current.error).toMatchObject({ status: 404 }));
    expect(said()).toEqual([]);
  });
});

it.each([
  [0, "unreachable", true],
  [0, "timeout", true],
  [0, "caller_changed", false],
  [200, "unexpected_answer", true],
  [413, "unexpected_answer", false],
  [502, "unexpected_answer", true],
  [500, "internal", true],
  [503, "outcome_unknown", true],
  [409, "outcome_unknown", true],
  [503, "store_unavailable", false],
  [404, "topic_not_found", false],
])("an answer of %i %s may mean that it was done: %s", (status, code, isUnknown) => {
  expect(new ApiError(status, code, "").isOutcomeUnknown).toBe(isUnknown);
});
