import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TailFeed } from "@/live/tailFeed";
import { whoami } from "@/test/factories";

/** The browser's, in the hands of a test. */
class Wire extends EventTarget {
  static readonly all: Wire[] = [];
  readonly bufferedAmount = 0;
  readonly sent: string[] = [];
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onopen: (() => void) | null = null;

  constructor() {
    super();
    Wire.all.push(this);
  }

  static get last(): Wire {
    const wire = Wire.all.at(-1);
    if (!wire) throw new Error("nothing has connected");
    return wire;
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {}

  says(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const subscribed = { epoch: "e", ref: "tail", topic: "a", type: "subscribed" };

/** Lets a connection come to be, and gives it. */
async function opened(waitMs = 0): Promise<Wire> {
  const before = Wire.all.length;
  await vi.advanceTimersByTimeAsync(waitMs);
  await vi.waitUntil(() => Wire.all.length > before);
  Wire.last.onopen?.();
  return Wire.last;
}

const subscribes = ({ sent }: Wire) => sent.filter((text) => text.includes('"subscribe"')).length;

const notes = (feed: TailFeed) =>
  feed.view().rows.flatMap((row) => (row.kind === "note" ? [row.text] : []));

let feed: TailFeed;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Wire);
  const who = JSON.stringify(whoami({ actor: "anonymous" }));
  vi.stubGlobal("fetch", async () => new Response(who));
  feed = new TailFeed("a");
});

afterEach(() => {
  feed.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  Wire.all.length = 0;
});

describe("what is followed live", () => {
  it("says how many passed while it was paused, also if none had come before", async () => {
    feed.start();
    (await opened()).says({ ...subscribed, seq: 0 });
    feed.hold("person");
    feed.release("person");
    (await opened()).says({ ...subscribed, seq: 5 });
    feed.hold("hidden");
    expect(notes(feed)).toEqual(["5 messages passed while this was not followed"]);
    feed.release("hidden");
    (await opened()).says({ ...subscribed, epoch: "f", seq: 1 });
    feed.hold("hidden");
    expect(notes(feed)[0]).toContain("made anew");
  });

  it("is connected once the topic is followed, and not when the connection is open", async () => {
    const state = async () => {
      await vi.advanceTimersByTimeAsync(2_000);
      return feed.view().machine.state;
    };
    feed.start();
    const wire = await opened();
    expect(await state()).toBe("opening");
    wire.says({ ...subscribed, seq: 0 });
    expect(await state()).toBe("open");
    wire.onclose?.({ code: 1006 });
    const next = await opened(20_000);
    expect(await state()).toBe("opening");
    next.says({ code: "topic_not_found", message: "m", ref: "tail", type: "error" });
    expect(await state()).toBe("open");
    expect(feed.view().problem?.code).toBe("topic_not_found");
  });

  it("goes on when nothing holds it any more, and not before", async () => {
    feed.start();
    await opened();
    feed.hold("person");
    feed.hold("pace");
    feed.release("pace");
    feed.hold("hidden");
    feed.release("person");
    feed.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Wire.all).toHaveLength(1);
    feed.release("hidden");
    await opened();
    expect(feed.isPaused).toBe(false);
  });

  it("subscribes once to a connection, whatever the one before was told to try again", async () => {
    feed.start();
    const first = await opened();
    const busy = { code: "unavailable", message: "later", ref: "tail", type: "error" };
    first.says({ ...busy, retry_after_ms: 30_000 });
    first.onclose?.({ code: 1012 });
    const second = await opened(20_000);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(subscribes(second)).toBe(1);
  });

  it("that is faster than it is shown goes on behind the last one that came", async () => {
    const message = (seq: number) => ({
      type: "message",
      message_id: `m-${seq}`,
      topic: "a",
      payload: seq,
      published_at: "t",
      seq,
      attempt: 1,
      epoch: "e",
    });
    feed.start();
    const wire = await opened();
    wire.says({ ...subscribed, seq: 0 });
    for (let seq = 1; seq <= 1_000; seq += 1) wire.says(message(seq));
    wire.onclose?.({ code: 1012 });
    const next = await opened(20_000);
    expect(next.sent.join()).toContain('"start":{"epoch":"e","seq":1001}');
    next.says({ ...subscribed, seq: 1_000 });
    expect(feed.view()).toMatchObject({ seenCount: 1_000, shownCount: 200 });
    feed.hold("person");
    feed.release("person");
    (await opened()).says({ ...subscribed, seq: 1_003 });
    feed.hold("hidden");
    expect(notes(feed)[0]).toBe("3 messages passed while this was not followed");
  });

  it("whose topic is not there asks again now and then, and follows it once it is made", async () => {
    feed.start();
    const wire = await opened();
    wire.says({ code: "topic_not_found", message: "m", ref: "tail", type: "error" });
    await vi.advanceTimersByTimeAsync(4_000);
    expect([subscribes(wire), feed.view().problem?.code]).toEqual([2, "topic_not_found"]);
    wire.says({ ...subscribed, seq: 0 });
    await vi.advanceTimersByTimeAsync(4_000);
    expect([subscribes(wire), feed.view().problem]).toEqual([2, null]);
  });
});
