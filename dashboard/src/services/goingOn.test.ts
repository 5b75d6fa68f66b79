import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { currentSession, setSession } from "@/api/caller";
import { ApiError } from "@/api/errors";
import type { WhoAmI } from "@/api/schema";
import { createQueryClient } from "@/services/client";
import { goOn, mayPass, nextOf } from "@/services/goingOn";
import { saySigning } from "@/services/signing";
import { whoami } from "@/test/factories";

const AT = "2026-11-30T10:00:00.000Z";
const session = (id: string) => ({ ends_at: AT, id, idle_s: 60 });
const refused = (status: number, code: string) => new ApiError(status, code, "");

it.each<[string, WhoAmI | ApiError, ReturnType<typeof nextOf>]>([
  ["the one that has ended", refused(401, "unauthenticated"), "sign in"],
  [
    "the one that has ended, of which this node has not heard",
    whoami({ session: session("a") }),
    "sign in",
  ],
  ["of somebody else", whoami({ actor: "key:other", session: session("b") }), "give up"],
  ["a newer one of the same person", whoami({ session: session("b") }), "give up"],
  ["none, because nobody is asked any more", whoami({ session: null }), "give up"],
  ["not known: nobody answers", refused(0, "unreachable"), "again"],
  ["not known: a proxy answers", refused(502, "unexpected_answer"), "again"],
  ["not known: too many ask", refused(429, "rate_limited"), "again"],
  ["not told", refused(403, "forbidden"), "give up"],
])("the session of the browser is %s", (_, found, next) => {
  expect(nextOf(found, "a")).toBe(next);
});

it.each([
  [401, "unauthenticated", false],
  [403, "forbidden", false],
  [403, "unexpected_answer", false],
  [422, "invalid", false],
  [429, "rate_limited", true],
  [500, "internal", true],
  [502, "unexpected_answer", true],
  [0, "timeout", true],
])("a sign-in that was answered with %i %s is tried again: %s", (status, code, isTried) => {
  expect(mayPass(refused(status, code))).toBe(isTried);
});

describe("who has rotated his own key", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    setSession("a");
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    setSession(null);
  });

  const ENDED = [401, { code: "unauthenticated", detail: "", request_id: "r" }] as const;
  const FORBIDDEN = [403, { code: "forbidden", detail: "", request_id: "r" }] as const;
  const AWAY = [502, "bad gateway"] as const;
  const BEGUN = [201, session("after")] as const;
  const BOB = [200, whoami({ actor: "key:bob", session: session("bob") })] as const;
  type Answer = readonly [number, unknown];

  /** A server that answers in turn; the last answers of each kind are given again and again. */
  function going(whose: Answer[], begins: Answer[]) {
    const fetched = vi.fn(async (url: string) => {
      const answers = url.endsWith("/session") ? begins : whose;
      const [status, body] = (answers.length > 1 ? answers.shift() : answers[0]) as Answer;
      return Response.json(body, { status });
    });
    vi.stubGlobal("fetch", fetched);
    const signIns = () => fetched.mock.calls.filter(([url]) => url.endsWith("/session")).length;
    const started = goOn({ client: createQueryClient(), rotated: "a", secret: "ck_live_new" });
    return { fetched, signIns, started };
  }

  it("is in the session of the new secret, also where that is answered later", async () => {
    const { signIns, started } = going([ENDED, AWAY, ENDED], [AWAY, BEGUN]);
    await started;
    expect([signIns(), currentSession()]).toEqual([1, "a"]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([signIns(), currentSession()]).toEqual([2, "after"]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(signIns()).toBe(2);
  });

  it("does not replace who has signed in in another tab, now or later", async () => {
    const now = going([BOB], [BEGUN]);
    await now.started;
    await vi.advanceTimersByTimeAsync(120_000);
    expect([now.signIns(), currentSession()]).toEqual([0, "a"]);
    const later = going([ENDED, BOB], [AWAY, BEGUN]);
    await later.started;
    await vi.advanceTimersByTimeAsync(120_000);
    expect([later.signIns(), currentSession()]).toEqual([1, "a"]);
  });

  it("does not come back once somebody has begun to sign in or out, whatever the browser has then", async () => {
    const { fetched, started } = going([ENDED], [AWAY, BEGUN]);
    await started;
    saySigning();
    fetched.mockClear();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(fetched).not.toHaveBeenCalled();
  });

  it("does not come back once the page is of another session, or of none", async () => {
    for (const now of ["bob", null]) {
      setSession("a");
      const { fetched, started } = going([ENDED], [AWAY, BEGUN]);
      await started;
      setSession(now);
      fetched.mockClear();
      await vi.advanceTimersByTimeAsync(120_000);
      expect([fetched.mock.calls.length, currentSession()]).toEqual([0, now]);
    }
  });

  it("takes a sign-in that was answered too late for nothing", async () => {
    let answer = (_: Response) => {};
    vi.stubGlobal("fetch", (url: string) =>
      url.endsWith("/session")
        ? new Promise<Response>((resolve) => {
            answer = resolve;
          })
        : Promise.resolve(Response.json(ENDED[1], { status: ENDED[0] })),
    );
    const started = goOn({ client: createQueryClient(), rotated: "a", secret: "ck_live_new" });
    await vi.advanceTimersByTimeAsync(10);
    saySigning();
    answer(Response.json(BEGUN[1], { status: 201 }));
    await started;
    expect(currentSession()).toBe("a");
  });

  it("does not ask again for what was refused", async () => {
    const { signIns, started } = going([ENDED], [FORBIDDEN, BEGUN]);
    await started;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(signIns()).toBe(1);
  });
});
