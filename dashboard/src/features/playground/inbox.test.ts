import { describe, expect, it } from "vitest";
import { exact } from "@/api/exact";
import { INBOX_COUNT, Inbox } from "@/features/playground/inbox";
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

describe("an inbox", () => {
  it("says that something is done when the server has said so", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    const frame = JSON.parse(inbox.act(first(inbox), "ack"));
    expect(frame).toEqual({ attempt: 1, message_id: "m-1", ref: "act-0", type: "ack" });
    expect(first(inbox).state).toBe("asked");
    expect(inbox.done("act-0")?.seq).toBe(1);
    expect(first(inbox).state).toBe("acked");
    expect(inbox.done("act-0")).toBeNull();
  });

  it("does not count a nack as the end of a message, which comes again on top", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    inbox.add(message(2), false);
    inbox.act(inbox.newest()[1] ?? first(inbox), "nack");
    expect(inbox.done("act-0")).toBeNull();
    inbox.add(message(1, 2), false);
    expect(first(inbox)).toMatchObject({ message: { attempt: 2, seq: 1 }, state: "out" });
    expect(inbox.newest()).toHaveLength(2);
  });

  it("says what could not be done any more, and that a connection took what it had", () => {
    const inbox = new Inbox();
    inbox.add(message(1), false);
    inbox.act(first(inbox), "reject");
    expect(inbox.refused("act-0", "too late")).toBe(true);
    expect(inbox.refused("other", "not mine")).toBe(false);
    expect(first(inbox)).toMatchObject({ problem: "too late", state: "late" });
    inbox.add(message(2), false);
    inbox.add(message(3), true);
    inbox.lost();
    expect(inbox.newest().map(({ state }) => state)).toEqual(["auto", "late", "late"]);
  });

  it("is bounded", () => {
    const inbox = new Inbox();
    for (let seq = 0; seq < 2 * INBOX_COUNT; seq += 1) inbox.add(message(seq), true);
    expect(inbox.newest()).toHaveLength(INBOX_COUNT);
    expect(first(inbox).message.seq).toBe(2 * INBOX_COUNT - 1);
  });
});
