// Messages that nobody is shown, as they came: of each topic the last, for whoever has to know how far it was.

import { type MessageFrame, readFrame } from "@/live/frames";
import { TOPICS_MAX_COUNT } from "@/live/resume";

/** Longer ones are read at once: those that are kept have to be few bytes. */
const KEPT_MAX_CHARS = 16_384;
// As the server begins them; what begins otherwise is read at once.
const HEAD = /^\{"type":"message","message_id":"[^"\\]*","topic":"([^"\\]*)"/;

export class Unread {
  readonly #texts = new Map<string, string>();

  constructor(private readonly read: (frame: MessageFrame) => void) {}

  /** Keeps it in the place of the one before in its topic; false if this is nothing that can wait. */
  keep(text: string): boolean {
    const topic = text.length <= KEPT_MAX_CHARS ? HEAD.exec(text)?.[1] : undefined;
    if (topic === undefined) return false;
    // The one that came last is last.
    this.#texts.delete(topic);
    this.#texts.set(topic, text);
    if (this.#texts.size > TOPICS_MAX_COUNT) this.flush();
    return true;
  }

  /** A later one of the topic was read. */
  forget(topic: string): void {
    this.#texts.delete(topic);
  }

  /** Reads what was kept. */
  flush(): void {
    const texts = [...this.#texts.values()];
    this.#texts.clear();
    for (const text of texts) {
      const frame = readFrame(text, 0);
      if (frame?.type === "message") this.read(frame);
    }
  }
}
