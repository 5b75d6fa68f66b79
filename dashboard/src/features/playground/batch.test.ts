import { describe, expect, it } from "vitest";
import { Batch } from "@/features/playground/batch";

const batch = (total: number) =>
  new Batch({
    draft: { headers: "", key: "", payload: "{{seq}}" },
    perS: 500,
    startedAt: 0,
    topic: "a",
    total,
  });

function send(to: Batch, ...refs: string[]): string[] {
  return refs.map((ref) => {
    const frame = to.next(ref);
    to.sent(ref);
    return JSON.parse(frame).payload;
  });
}
const problem = { code: "c", message: "m" };
const at = { seq: 1, topic: "a" };

describe("a batch", () => {
  it("is over when each of its own is answered, and not by answers to what was before", () => {
    const second = batch(3);
    expect(send(second, "p-7", "p-8")).toEqual([1, 2]);
    for (const ref of ["p-1", "p-2", "p-3", ""]) second.published(ref, at);
    second.refused("p-4", problem);
    expect(second.view).toMatchObject({
      failedCount: 0,
      problem: null,
      publishedCount: 0,
      total: 3,
    });
    second.published("p-7", at);
    second.published("p-7", at);
    expect([second.isSending, second.dueCount(60_000)]).toEqual([true, 1]);
    send(second, "p-9");
    second.published("p-9", at);
    second.published("p-8", { seq: 5, topic: "a" });
    expect(second.view).toMatchObject({ last: { seq: 5 }, publishedCount: 3, total: null });
  });

  it("that was stopped sends no more, and counts what is answered late", () => {
    const stopped = batch(100);
    send(stopped, "p-1", "p-2");
    stopped.stop();
    stopped.published("p-1", at);
    expect(stopped.dueCount(60_000)).toBe(0);
    expect(stopped.view).toMatchObject({ problem: null, publishedCount: 1, total: null });
    // What is on its way when the connection is lost is told of then.
    stopped.lost();
    expect(stopped.view.problem?.code).toBe("connection_lost");
  });

  it("ends with what the server refuses, and a connection that is lost later is no matter of its", () => {
    const refused = batch(100);
    send(refused, "p-1");
    refused.refused("p-1", problem);
    refused.lost();
    expect(refused.view).toMatchObject({ failedCount: 1, problem, total: null });
  });
});
