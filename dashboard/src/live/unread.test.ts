import { describe, expect, it } from "vitest";
import { TOPICS_MAX_COUNT } from "@/live/resume";
import { Unread } from "@/live/unread";

const text = (topic: string, seq: number, payload = "1") =>
  `{"type":"message","message_id":"m-${seq}","topic":"${topic}","payload":${payload},"published_at":"t","seq":${seq},"attempt":1,"epoch":"e"}`;

function unread(): readonly [Unread, string[]] {
  const read: string[] = [];
  return [new Unread(({ seq, topic }) => read.push(`${topic} ${seq}`)), read];
}

describe("messages that nobody is shown", () => {
  it("are read when somebody has to know, of each topic the last, and once", () => {
    const [kept, read] = unread();
    for (const [topic, seq] of [["a", 1] as const, ["b", 7] as const, ["a", 2] as const]) {
      expect(kept.keep(text(topic, seq))).toBe(true);
    }
    expect(read).toEqual([]);
    kept.flush();
    kept.flush();
    expect(read).toEqual(["b 7", "a 2"]);
  });

  it("are not read where a later one was", () => {
    const [kept, read] = unread();
    kept.keep(text("a", 1));
    kept.forget("a");
    kept.flush();
    expect(read).toEqual([]);
  });

  it("wait in so many topics, and not in one more", () => {
    const [kept, read] = unread();
    for (let topic = 0; topic <= TOPICS_MAX_COUNT; topic += 1) kept.keep(text(`t${topic}`, 1));
    expect(read).toHaveLength(TOPICS_MAX_COUNT + 1);
  });

  it.each([
    '{"type":"closing","reason":"r","reconnect_after_ms":1}',
    '{"seq":1,"type":"message","message_id":"m","topic":"a"}',
    text("a", 1, `"${"x".repeat(20_000)}"`),
    "",
  ])("are nothing else, and nothing large", (other) => {
    const [kept, read] = unread();
    expect(kept.keep(other)).toBe(false);
    kept.flush();
    expect(read).toEqual([]);
  });

  it("may be broken", () => {
    const [kept, read] = unread();
    kept.keep(text("a", 1).slice(0, -4));
    kept.flush();
    expect(read).toEqual([]);
  });
});
