import { QueryClientProvider, QueryObserver } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { currentSession, setSession } from "@/api/caller";
import { asApiError } from "@/api/errors";
import { searchedIn, useSearched } from "@/components/lists";
import { currentDraft, setDraft } from "@/features/playground/draft";
import { whyNot } from "@/features/signin/model";
import { holdPace } from "@/live/pace";
import { createQueryClient } from "@/services/client";
import { jobQuery } from "@/services/deadLetters";
import { followedNodeQuery } from "@/services/nodes";
import { confirm, currentNotices } from "@/services/notices";
import { whoamiQuery } from "@/services/server";
import { useSignIn, useSignOut } from "@/services/session";
import { node, whoami } from "@/test/factories";

const AT = "2026-11-30T10:00:00.000Z";
const session = (id: string) => ({ ends_at: AT, id, idle_s: 60 });
const BEFORE = whoami({ session: session("before") });
const AFTER = whoami({ session: session("after") });
const BOB = whoami({ actor: "key:bob", session: session("bob"), tenant: "other" });
const UNKNOWN = { code: "unauthenticated", detail: "it is not good", request_id: "r" };

const told = (status: number, body: unknown) => Response.json(body, { status });

/** A page of who was here before, whose server answers the question who it is as the test says, in turn. */
function signing(...whose: (() => Promise<Response>)[]) {
  vi.stubGlobal("fetch", (url: string, init?: RequestInit) => {
    if (init?.method === "DELETE") return Promise.resolve(new Response(null, { status: 204 }));
    if (url.endsWith("/session")) return Promise.resolve(told(201, session("after")));
    return aborting(whose.shift()?.() ?? new Promise(() => {}), init?.signal);
  });
  const client = createQueryClient();
  client.setQueryData(whoamiQuery().queryKey, BEFORE);
  setSession("before");
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  return { client, ...renderHook(() => ({ in: useSignIn(), out: useSignOut() }), { wrapper }) };
}

const aborting = (answer: Promise<Response>, signal?: AbortSignal | null) =>
  Promise.race([
    answer,
    new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
    }),
  ]);

const who = (client: ReturnType<typeof createQueryClient>) =>
  client.getQueryState(whoamiQuery().queryKey);

afterEach(() => {
  vi.unstubAllGlobals();
  setSession(null);
});

describe("a good key", () => {
  it("is not called wrong because of what was asked before it, and answered after it", async () => {
    let late = (_: Response) => {};
    const asked = new Promise<Response>((resolve) => {
      late = resolve;
    });
    const { client, result } = signing(
      () => asked,
      async () => told(200, AFTER),
    );
    void client.fetchQuery({ ...whoamiQuery(), staleTime: 0 }).catch(() => undefined);
    act(() => result.current.in.mutate("ck_live_x"));
    late(told(401, UNKNOWN));
    await waitFor(() => expect(result.current.in.isSuccess).toBe(true));
    expect([currentSession(), who(client)?.error]).toEqual(["after", null]);
  });

  it("has signed in, also where nobody says as whom", async () => {
    const { result } = signing(async () => told(500, { ...UNKNOWN, code: "internal" }));
    act(() => result.current.in.mutate("ck_live_x"));
    await waitFor(() => expect(result.current.in.isSuccess).toBe(true));
  });

  it("is not called wrong where its session counts for nothing", async () => {
    const { result } = signing(async () => told(401, UNKNOWN));
    act(() => result.current.in.mutate("ck_live_x"));
    await waitFor(() => expect(result.current.in.isError).toBe(true));
    const said = whyNot(asApiError(result.current.in.error), "ck_live_x");
    expect(said).toContain("The key is good");
    expect(said).toContain("it is not good");
  });
});

describe("what a page has", () => {
  const look = (client: ReturnType<typeof createQueryClient>) =>
    client.fetchQuery({ ...whoamiQuery(), staleTime: 0 });

  /** What somebody has left in parts of the page that live as long as it. */
  function leave() {
    setDraft({ key: "alice-key", payload: '{"card": 4111}' });
    renderHook(() => useSearched("/topics", "secret")).unmount();
    confirm("Topic “alice” was deleted");
  }
  const left = () => [currentDraft().key, searchedIn("/topics"), currentNotices().length];

  it("is asked for again in a new session of the same person, and stays", async () => {
    const { client } = signing(async () => told(200, AFTER));
    client.setQueryData(["topics"], ["one"]);
    leave();
    await look(client);
    expect(client.getQueryState(["topics"])).toMatchObject({ data: ["one"], isInvalidated: true });
    expect(left()).toEqual(["alice-key", "secret", 1]);
  });

  it("is nobody's once somebody else is there", async () => {
    const { client } = signing(async () => told(200, BOB));
    client.setQueryData(["topics"], ["one"]);
    leave();
    await look(client);
    expect(client.getQueryData(["topics"])).toBeUndefined();
    expect(left()).toEqual(["", "", 0]);
  });

  it("is nobody's once he has signed out", async () => {
    let late = (_: Response) => {};
    const { client, result } = signing(
      () =>
        new Promise((resolve) => {
          late = resolve;
        }),
    );
    client.setQueryData(["topics"], ["one"]);
    leave();
    act(() => result.current.out.mutate());
    await waitFor(() => expect(currentSession()).toBeNull());
    expect(currentNotices()).toHaveLength(0);
    // What he had sent was answered after that.
    confirm("Topic “alice” was deleted");
    void look(client);
    await waitFor(() => {
      late(told(200, BOB));
      expect(currentSession()).toBe("bob");
    });
    expect(client.getQueryData(["topics"])).toBeUndefined();
    expect(left()).toEqual(["", "", 0]);
  });
});

it("nobody follows a job or a node behind the question who he is, and goes on when he is back", () => {
  const client = createQueryClient();
  const job = new QueryObserver(client, jobQuery("j"));
  client.setQueryData(jobQuery("j").queryKey, { state: "running" } as never);
  const followed = followedNodeQuery("n", () => false);
  const leaving = new QueryObserver(client, followed);
  client.setQueryData(followed.queryKey, node());
  const every = () =>
    [job, leaving].map((each) => {
      const { refetchInterval } = each.options;
      return (
        typeof refetchInterval === "function" && refetchInterval(each.getCurrentQuery() as never)
      );
    });
  expect(every()).toEqual([500, 1_000]);
  holdPace(true);
  expect(every()).toEqual([false, false]);
  holdPace(false);
  expect(every()).toEqual([500, 1_000]);
});
