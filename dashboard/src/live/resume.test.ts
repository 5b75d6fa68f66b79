import { describe, expect, it } from "vitest";
import { exact } from "@/api/exact";
import type { MessageFrame, SubscribedFrame } from "@/live/frames";
import { Resume, type Start, TOPICS_MAX_COUNT } from "@/live/resume";

const subscribed = (change: Partial<SubscribedFrame> = {}): SubscribedFrame => ({
  topic: "a",
  type: "subscribed",
  ...change,
});
const message = (topic: string, seq: number, epoch = "e"): MessageFrame => ({
  attempt: 1,
  epoch,
  message_id: `${topic}-${seq}`,
  payload: exact("1"),
  published_at: "2026-11-30T10:00:00.000Z",
  seq,
  topic,
  type: "message",
});

describe("where a stream goes on", () => {
  it.each<Start>(["new", "earliest", { seq: 4 }, { time: "2026-11-30T10:00:00Z" }])(
    "is where it was asked to begin, before it has begun: %j",
    (start) => expect(new Resume("a", start, true).start()).toEqual(start),
  );

  it("of a topic is behind what came last", () => {
    const resume = new Resume("a", "new", false);
    resume.subscribed(subscribed({ epoch: "e", seq: 7 }));
    expect(resume.start()).toEqual({ epoch: "e", seq: 8 });
    resume.delivered(message("a", 8));
    resume.delivered(message("a", 9));
    expect(resume.start()).toEqual({ epoch: "e", seq: 10 });
  });

  it("is the first that is not settled, where messages are acked", () => {
    const resume = new Resume("a", "new", true);
    resume.subscribed(subscribed({ epoch: "e", seq: 0 }));
    for (const seq of [1, 2, 3]) resume.delivered(message("a", seq));
    resume.settled(message("a", 2));
    resume.settled(message("a", 2));
    expect(resume.start()).toEqual({ epoch: "e", seq: 1 });
    resume.settled(message("a", 1));
    expect(resume.start()).toEqual({ epoch: "e", seq: 3 });
    resume.settled(message("a", 3));
    expect(resume.start()).toEqual({ epoch: "e", seq: 4 });
    resume.delivered(message("a", 1, "f"));
    resume.settled(message("a", 1, "e"));
    expect(resume.start()).toEqual({ epoch: "f", seq: 1 });
  });

  it("is of the topic that is there now, if it was made anew", () => {
    const resume = new Resume("a", "new", false);
    resume.subscribed(subscribed({ epoch: "e", seq: 900 }));
    resume.delivered(message("a", 1, "f"));
    expect(resume.start()).toEqual({ epoch: "f", seq: 2 });
  });

  it("of a pattern is a position for each topic that was heard, and a time for the others", () => {
    const resume = new Resume("a.*", "new", false);
    resume.subscribed(subscribed({ at: "2026-11-30T10:00:00.000Z", topic: "a.*" }));
    expect(resume.start()).toEqual({ time: "2026-11-30T10:00:00.000Z" });
    resume.delivered(message("a.x", 3));
    resume.delivered(message("a.y", 5));
    resume.subscribed(subscribed({ at: "2026-11-30T11:00:00.000Z", topic: "a.*" }));
    expect(resume.start()).toEqual({
      positions: { "a.x": { epoch: "e", seq: 4 }, "a.y": { epoch: "e", seq: 6 } },
      time: "2026-11-30T10:00:00.000Z",
    });
  });

  it("of many topics leaves out those that were silent the longest", () => {
    const resume = new Resume(">", "earliest", true);
    resume.subscribed(subscribed({ topic: ">" }));
    for (let at = 0; at <= TOPICS_MAX_COUNT; at += 1) resume.delivered(message(`t${at}`, 1));
    const start = resume.start() as { positions: Record<string, unknown> };
    expect(Object.keys(start.positions)).toHaveLength(TOPICS_MAX_COUNT);
    expect(start.positions).not.toHaveProperty("t0");
  });
});
