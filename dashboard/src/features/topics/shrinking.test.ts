import { describe, expect, it } from "vitest";
import type { TopicAnswer } from "@/api/schema";
import { lossOf, removal } from "@/features/topics/shrinking";

const TOPIC = {
  first_seq: 11,
  last_seq: 15,
  retention: { max_age_s: 3_600, max_bytes: null, max_messages: 100 },
  stored_bytes: 4_096,
} as TopicAnswer;
const SAME = { max_age_s: 3_600, max_bytes: null, max_messages: 100 };

describe("a topic that is to keep less", () => {
  it("says how many go, and which", () => {
    const loss = lossOf(TOPIC, { ...SAME, max_messages: 2 });
    expect(loss?.about).toEqual(["At most 2 messages: of 5 the oldest 3 go (11 to 13)."]);
    expect(loss && removal(loss)).toBe("Save and remove 3 messages");
  });

  it("says what goes of what nobody can count", () => {
    const old = lossOf(TOPIC, { ...SAME, max_age_s: 60 });
    expect(old?.about.join()).toContain("what was published before that goes");
    expect(old && removal(old)).toBe("Save and remove what is beyond");
    const both = lossOf(TOPIC, { ...SAME, max_bytes: 1_024, max_messages: 4 });
    expect(both?.about.join()).toContain("1.0 KiB");
    expect(both?.about[0]).toBe("At most 4 messages: of 5 the oldest goes (number 11).");
    expect(both && removal(both)).toBe("Save and remove 1 message or more");
  });

  it("is not asked about where nothing goes", () => {
    expect(lossOf(TOPIC, SAME)).toBeNull();
    expect(lossOf(TOPIC, { max_age_s: null, max_bytes: null, max_messages: 1_000 })).toBeNull();
    expect(lossOf(TOPIC, { ...SAME, max_bytes: 8_192, max_messages: 5 })).toBeNull();
    expect(lossOf({ ...TOPIC, first_seq: 16 }, { ...SAME, max_age_s: 1 })).toBeNull();
  });
});
