import { describe, expect, it } from "vitest";
import { CHARTS, columns, firstSteps, hasFigures, summary, tiles } from "@/features/overview/model";
import { history, stats } from "@/test/factories";

const [rates, publish, , backlog] = CHARTS;

describe("the overview", () => {
  it("has a tile for each figure, with its last minutes", () => {
    const { samples } = history([1, 2, 3]);
    const tile = tiles(stats({ backlog: 12_345 }), samples).find(
      ({ label }) => label === "Backlog",
    );
    expect(tile).toEqual({
      figure: "12.3K",
      label: "Backlog",
      to: "/subscriptions",
      values: [1, 2, 3],
    });
  });

  it("tells of latencies what was measured last, and nothing once that is long ago", () => {
    const { samples } = history(Array(20).fill(0));
    const measured = (at: number) =>
      samples.map((sample, index) => (index === at ? { ...sample, publish_p99_ms: 12.4 } : sample));
    const figure = (at: number) =>
      tiles(stats(), measured(at)).find(({ label }) => label === "Publish p99")?.figure;
    expect(figure(19)).toBe("12 ms");
    expect(figure(14)).toBe("12 ms");
    expect(figure(5)).toBe("–");
    expect(publish && hasFigures(publish, measured(5))).toBe(true);
    expect(publish && hasFigures(publish, samples)).toBe(false);
    expect(publish && summary(publish, measured(5))).toContain("p50: nothing was measured");
  });

  it("gives a chart one column for the time and one for each series", () => {
    const { samples } = history([0, 7]);
    expect(rates && columns(rates, samples).map((column) => column.length)).toEqual([2, 2, 2, 2]);
    expect(backlog && columns(backlog, samples)[1]).toEqual([0, 7]);
  });

  it("says in words what a chart shows", () => {
    expect(backlog && summary(backlog, history([1, 9, 4]).samples)).toBe(
      "Backlog of durable subscriptions: Not settled now 4, at most 9.",
    );
    expect(backlog && summary(backlog, [])).toContain("no samples yet");
    const [before, last] = history([1, 1]).samples.map((sample, at) => ({
      ...sample,
      publish_p50_ms: at === 0 ? 5 : null,
    }));
    expect(publish && before && last && summary(publish, [before, last])).toContain(
      "p50 when it was measured last 5.0 ms",
    );
  });

  it("has first steps until all were done, and none where there was something before", () => {
    const done = (change: Parameters<typeof stats>[0], hadMessages = false) =>
      firstSteps(stats(change), hadMessages)?.map((step) => step.done);
    expect(done({})).toEqual([false, false, false]);
    expect(done({ active_topics: 1 })).toEqual([true, false, false]);
    expect(done({ active_topics: 1, total_messages: 1 })).toEqual([true, false, true]);
    expect(done({ active_topics: 1, total_deliveries: 1, total_messages: 1 })).toBeUndefined();
    expect(done({ active_topics: 1, backlog: 1 })).toBeUndefined();
    expect(done({ active_topics: 1 }, true)).toBeUndefined();
  });
});
