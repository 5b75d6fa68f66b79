import { describe, expect, it } from "vitest";
import { exact } from "@/api/exact";
import {
  IN_FLIGHT_COUNT,
  Inbox,
  type Item,
  SETTLED_COUNT,
  type Verb,
} from "@/features/playground/inbox";
import type { MessageFrame } from "@/live/frames";

const message = (seq: number, attempt = 1): MessageFrame => ({
  attempt,
  epoch: "e",
  message_id: `m-${seq}`,
  payload: exact("1"),
  published_at: "2026-11-30T10:00:00.000Z",
  seq,
  topic: "a",
  type: "message",
});

function first(inbox: Inbox) {
  const item = inbox.newest()[0];
  if (!item) throw new Error("it is empty");
  return item;
}

function act(inbox: Inbox, item: Item, verb: Verb): string {
  const asked = inbox.act(item, verb);
  if (!asked) throw new Error("there is nothing to be done with it");
  return asked.ref;
}

const states = (inbox: Inbox) => inbox.newest().map(({ state }) => state);

describe("an inbox", () => {
  it("says that something is done when the server has said so", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    const item = first(inbox);
    const { ref = "", text = "" } = inbox.act(item, "ack") ?? {};
    expect(JSON.parse(text)).toEqual({ attempt: 1, message_id: "m-1", ref, type: "ack" });
    expect(first(inbox).state).toBe("asked");
    expect(inbox.act(item, "reject")).toBeNull();
    expect(inbox.done(ref)?.seq).toBe(1);
    expect(first(inbox).state).toBe("acked");
    expect(inbox.done(ref)).toBeNull();
  });

  it("does not count a nack as the end of a message, which comes again on top", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    inbox.add(message(2), false);
    const ref = act(inbox, inbox.newest()[1] ?? first(inbox), "nack");
    expect(inbox.done(ref)).toBeNull();
    inbox.add(message(1, 2), false);
    expect(first(inbox)).toMatchObject({ message: { attempt: 2, seq: 1 }, state: "out" });
    expect(inbox.newest()).toHaveLength(2);
  });

  it("leaves the next hand-out alone when the answer to the one before comes late", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    const before = first(inbox);
    const refs = [act(inbox, before, "ack")];
    inbox.add(message(1, 2), false);
    expect(inbox.act(before, "ack")).toBeNull();
    expect(inbox.refused(refs[0] ?? "", "too late", false)).toBe(true);
    expect(first(inbox)).toMatchObject({ message: { attempt: 2 }, problem: null, state: "out" });
    // After a new connection the attempts of an unnamed subscription begin with 1 again.
    refs.push(act(inbox, first(inbox), "ack"));
    inbox.add(message(1, 2), false);
    expect(inbox.done(refs[1] ?? "")?.attempt).toBe(2);
    expect(first(inbox).state).toBe("out");
  });

  it("says what could not be done any more, and that a connection took what it had", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    expect(inbox.refused(act(inbox, first(inbox), "ack"), "not now", true)).toBe(true);
    expect(first(inbox)).toMatchObject({ problem: "not now", state: "out" });
    expect(inbox.refused(act(inbox, first(inbox), "reject"), "too late", false)).toBe(true);
    expect(inbox.refused("other", "not mine", false)).toBe(false);
    expect(first(inbox)).toMatchObject({ problem: "too late", state: "late" });
    inbox.add(message(2), false);
    inbox.add(message(3), true);
    inbox.gone("the connection was lost");
    expect(states(inbox)).toEqual(["auto", "late", "late"]);
  });

  it("keeps what is in flight, and of the rest the newest", () => {
    const inbox = new Inbox();
    const count = 2 * SETTLED_COUNT;
    for (let seq = 0; seq < count; seq += 1) inbox.add(message(seq), false);
    expect(inbox.newest()).toHaveLength(count);
    for (let seq = count; seq < 2 * count; seq += 1) inbox.add(message(seq), true);
    expect(states(inbox).filter((state) => state === "out")).toHaveLength(count);
    expect(inbox.newest()).toHaveLength(count + SETTLED_COUNT);
    expect(first(inbox).message.seq).toBe(2 * count - 1);
    expect(inbox.leftOut).toEqual({ inFlightCount: 0, isSettledCut: true });
  });

  it("says how many in flight it could not keep", () => {
    const inbox = new Inbox();
    for (let seq = 0; seq < IN_FLIGHT_COUNT + 3; seq += 1) inbox.add(message(seq), false);
    expect(inbox.newest()).toHaveLength(IN_FLIGHT_COUNT);
    expect(inbox.leftOut).toEqual({ inFlightCount: 3, isSettledCut: false });
  });
});
