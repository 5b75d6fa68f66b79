import { afterEach, expect, it, vi } from "vitest";
import { setSession } from "@/api/caller";
import { stranger } from "@/live/acquaintance";
import type { Machine } from "@/live/machine";
import { LiveSocket } from "@/live/socket";

const UNKNOWN = {
  code: "unauthenticated",
  detail: "this page is of another session than the browser's is now: somebody has signed in since",
  request_id: "r",
};
const refusal = () => Response.json(UNKNOWN, { status: 401 });

afterEach(() => {
  vi.unstubAllGlobals();
  setSession(null);
});

/** A live connection of a page of the session "before", to a server that does not know it any more. */
function refused(answer: () => Promise<Response> = async () => refusal()) {
  const fetched = vi.fn((_url: string, _init?: RequestInit) => answer());
  vi.stubGlobal("fetch", fetched);
  setSession("before");
  const states: Machine[] = [];
  const socket = new LiveSocket({
    onFrame: () => {},
    onOpen: () => {},
    onState: (machine) => states.push(machine),
  });
  const asked = () =>
    fetched.mock.calls.map(([, init]) => new Headers(init?.headers).get("x-conduit-session"));
  socket.start();
  return { asked, socket, states };
}

it("a live connection that was refused to a session that has ended tries again in the next one", async () => {
  const { asked, socket } = refused();
  await vi.waitFor(() => expect(socket.machine.state).toBe("refused"), { timeout: 30_000 });
  // It may be the same person's: who it is is not said by this.
  expect(socket.machine.reason).toBe("the session of this page has ended");
  setSession("after");
  await vi.waitFor(() => expect(asked()).toEqual(["before", "after"]), { timeout: 30_000 });
  socket.stop();
  setSession("later");
  expect(asked()).toHaveLength(2);
});

it("a live connection that is refused after the page has heard of the next session tries again too", async () => {
  let answer = (_: Response) => {};
  const { asked, socket, states } = refused(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  const unhear = stranger.on(() => {});
  setSession("after");
  answer(refusal());
  await vi.waitFor(() => expect(asked()).toEqual(["before", "after"]), { timeout: 30_000 });
  expect(states.map(({ state }) => state)).not.toContain("refused");
  unhear();
  socket.stop();
});
