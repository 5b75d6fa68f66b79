import { describe, expect, it } from "vitest";
import { JobAnswer } from "@/api/schema";
import { meantText, outcomeText, paceText, parted } from "@/features/deadLetters/jobWords";

const AT = "2026-11-30T10:00:00.000Z";
const NOW = Date.parse(AT);

function job(change: Partial<JobAnswer> = {}): JobAnswer {
  return JobAnswer.parse({
    action: "redrive",
    discarded_count: 0,
    error: null,
    failed_count: 0,
    finished_at: null,
    id: "1",
    matched_count: 10_000,
    max_count: 100_000,
    rate_per_s: 10,
    redriven_count: 400,
    started_at: AT,
    state: "running",
    ...change,
  });
}

const earlier = (ms: number) => new Date(NOW - ms).toISOString();

describe("a list of jobs", () => {
  it("has those that run however old they are, and of the others those that ended lately", () => {
    const jobs = [
      job({ id: "old", started_at: earlier(9e7) }),
      job({ id: "shown" }),
      job({ finished_at: earlier(60_000), id: "late", state: "cancelled" }),
      job({ finished_at: earlier(4_000_000), id: "early", state: "done" }),
    ];
    const { ended, running } = parted(jobs, "shown", NOW);
    expect(running.map(({ id }) => id)).toEqual(["old"]);
    expect(ended.map(({ id }) => id)).toEqual(["late"]);
  });

  it("has a job that is started meanwhile below those that run", () => {
    const jobs = [job({ id: "a" }), job({ id: "c", started_at: earlier(9e7) }), job({ id: "b" })];
    const order = (of: JobAnswer[]) => parted(of, undefined, NOW).running.map(({ id }) => id);
    expect(order(jobs)).toEqual(["c", "a", "b"]);
    expect(order(jobs.reverse())).toEqual(["c", "a", "b"]);
  });
});

describe("the words of a job", () => {
  it("say for which letters it is", () => {
    const text = (which: JobAnswer["which"]) => meantText(job({ which }));
    expect(text({ redriven: false })).toBe("all dead letters");
    expect(text({ reason: "no funds", redriven: false, topic: "orders" })).toBe(
      "dead letters of topic orders, reason: no funds",
    );
    for (const [redriven, words] of [
      [true, "dead letters that were redriven"],
      [false, "dead letters that were not redriven"],
    ] as const) {
      expect(meantText(job({ action: "discard", which: { redriven } }))).toBe(words);
    }
    expect(text({ ids_count: 1 })).toBe("1 dead letter that was chosen");
    expect(text({ ids_count: 3, topic: "t" })).toBe("3 dead letters that were chosen, of topic t");
    // When they were counted, which is no choice; and long before, which is one.
    expect(text({ to_time: earlier(5_000) })).toBe("all dead letters");
    expect(text({ to_time: earlier(9e7) })).toMatch(/^dead letters that died before /);
  });

  it("say how fast one goes, and how long it still takes", () => {
    expect(paceText(job())).toBe("Redriving at 10.0 in a second, about 16 min more.");
    expect(paceText(job({ matched_count: 0, redriven_count: 0 }))).toBe(
      "Redriving at 10.0 in a second.",
    );
  });

  it("say what came of one that has ended", () => {
    expect(outcomeText(job({ state: "cancelled" }))).toBe("Redriven: 400 of 10,000 dead letters.");
    const done = { action: "discard", discarded_count: 5, redriven_count: 0, state: "done" };
    expect(outcomeText(job({ ...done, failed_count: 2, matched_count: 8 }))).toBe(
      "Discarded: 5 dead letters, 2 could not be, 1 was dealt with elsewhere meanwhile.",
    );
  });
});
