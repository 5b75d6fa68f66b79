import { describe, expect, it } from "vitest";
import { exact } from "@/api/exact";
import {
  AGAIN_LEAST_MS,
  type Effect,
  type Following,
  type Happening,
  NONE,
  step,
  type Wanted,
} from "@/features/playground/following";
import type { ServerFrame } from "@/live/frames";

const wanted = (topic: string, subscription = ""): Wanted => ({
  ack: "explicit",
  ackWaitMs: 1_000,
  start: "new",
  subscription,
  topic,
  windowCount: 50,
});
const heard = (frame: ServerFrame): Happening => ({ frame, kind: "heard" });
const follow = (to: Wanted, ref: string, isOpen = true): Happening => ({
  isOpen,
  kind: "follow",
  ref,
  to,
});
const subscribed = (topic: string, ref: string) => heard({ ref, topic, type: "subscribed" });
const unsubscribed = (topic: string, ref?: string) => heard({ ref, topic, type: "unsubscribed" });
const refused = (ref: string, retry_after_ms?: number) =>
  heard({ code: "c", message: "m", ref, retry_after_ms, type: "error" });
const gap = (topic: string, subscription?: string) =>
  heard({
    epoch: "e",
    from_seq: 1,
    reason: "retention",
    subscription,
    to_seq: 2,
    topic,
    type: "gap",
  });
const message = (topic: string, subscription?: string) =>
  heard({
    attempt: 1,
    epoch: "e",
    message_id: "m",
    payload: exact("1"),
    published_at: "2026-11-30T10:00:00.000Z",
    seq: 1,
    subscription,
    topic,
    type: "message",
  });
const LEAVE: Happening = { kind: "leave" };
const LOST: Happening = { kind: "lost" };

/** Where it is then, and what each that happened had done. */
function having(...happenings: Happening[]): [Following["state"], string[][]] {
  let now = NONE;
  const done = happenings.map((happening) => {
    let effects: readonly Effect[];
    [now, effects] = step(now, happening);
    return effects.map((each) => each.do);
  });
  return [now.state, done];
}

describe("what is subscribed to", () => {
  it("is taken from `subscribed` until it is left, and not before and behind", () => {
    const [state, done] = having(
      message("a"),
      follow(wanted("a"), "1"),
      message("a"),
      subscribed("a", "1"),
      message("a"),
      gap("a"),
      LEAVE,
      message("a"),
      gap("a"),
      unsubscribed("a", "2"),
    );
    expect(done).toEqual([
      [],
      ["ask"],
      [],
      ["begun"],
      ["take"],
      ["take"],
      ["leave", "gone"],
      [],
      [],
      [],
    ]);
    expect(state).toBe("none");
  });

  it("has nothing of what was subscribed to before, whatever of it comes late", () => {
    const late = [
      subscribed("a", "1"),
      message("a"),
      gap("a"),
      unsubscribed("a", "2"),
      refused("1"),
    ];
    const before = [follow(wanted("a"), "1"), LEAVE, follow(wanted("b"), "3")];
    const [state, done] = having(...before, ...late, subscribed("b", "3"), ...late, message("b"));
    expect(state).toBe("on");
    expect(done.flat()).toEqual(["ask", "leave", "ask", "begun", "take"]);
  });

  it("tells the same topic apart by the name and by the answer", () => {
    const [, done] = having(
      follow(wanted("a"), "1"),
      follow(wanted("a", "n"), "2"),
      subscribed("a", "1"),
      message("a", "n"),
      subscribed("a", "2"),
      message("a"),
      unsubscribed("a"),
      message("a", "n"),
    );
    expect(done).toEqual([["ask"], ["leave", "ask"], [], [], ["begun"], [], [], ["take"]]);
  });

  it("may be a pattern", () => {
    const on = [follow(wanted("a.*"), "1"), subscribed("a.*", "1")];
    const [, done] = having(...on, message("a.x"), gap("a.y"), message("b.x"), message("a.x.y"));
    expect(done.slice(2)).toEqual([["take"], ["take"], [], []]);
  });

  it("is asked for again when the connection is back, and when the server could not", () => {
    const [state, done] = having(
      follow(wanted("a"), "1", false),
      { kind: "opened", ref: "2" },
      subscribed("a", "2"),
      LOST,
      message("a"),
      { kind: "opened", ref: "3" },
      refused("3", 1_000),
      { kind: "due", ref: "4" },
      subscribed("a", "3"),
      subscribed("a", "4"),
    );
    expect(done).toEqual([
      [],
      ["ask"],
      ["begun"],
      ["gone"],
      [],
      ["ask"],
      ["tell", "wait"],
      ["ask"],
      [],
      ["begun"],
    ]);
    expect(state).toBe("on");
  });

  it("is asked for once where the connection is lost while it waits", () => {
    const waiting = [follow(wanted("a"), "1"), refused("1", 1_000), LOST];
    const due: Happening = { kind: "due", ref: "2" };
    const [state, done] = having(...waiting, due, { kind: "opened", ref: "3" }, due);
    expect([state, done.slice(3)]).toEqual(["asking", [[], ["ask"], []]]);
    expect(having(...waiting.slice(0, 2), LEAVE, due)[0]).toBe("none");
  });

  it("is not asked for without a pause, whatever the server says, or if it cannot be sent", () => {
    const [asking] = step(NONE, follow(wanted("a"), "1"));
    for (const happening of [refused("1", 0), { kind: "unsent" } as const]) {
      expect(step(asking, happening)[1].at(-1)).toEqual({ do: "wait", ms: AGAIN_LEAST_MS });
    }
  });

  it("is over when the server refuses it for good, or has deleted it", () => {
    expect(having(follow(wanted("a"), "1"), refused("1"))).toEqual(["none", [["ask"], ["tell"]]]);
    const on = [follow(wanted("a"), "1"), subscribed("a", "1")];
    const [state, done] = having(...on, unsubscribed("a"), message("a"));
    expect([state, done.slice(2)]).toEqual(["none", [["gone", "tell"], []]]);
  });
});
