import { describe, expect, it } from "vitest";
import { ApiError } from "@/api/errors";
import { type Batch, runBatch, runSteps } from "@/features/deadLetters/batch";

const never = new AbortController().signal;

describe("the same done to many", () => {
  it("goes on when one fails, and says which and why", async () => {
    const steps: Batch[] = [];
    const act = async (id: string) => {
      if (id === "b") throw new ApiError(409, "already_redriven", "somebody was faster");
    };
    const found = await runBatch(["a", "b", "c"], act, (batch) => steps.push(batch), never);
    expect(found).toEqual({
      doneCount: 2,
      failed: [{ id: "b", why: "somebody was faster" }],
      state: "done",
      total: 3,
    });
    expect(steps.map(({ doneCount }) => doneCount)).toEqual([1, 1, 2]);
  });

  it("is stopped between two, and not after the last", async () => {
    const stopping = new AbortController();
    const done: string[] = [];
    const act = async (id: string) => {
      done.push(id);
      if (id === "b") stopping.abort();
    };
    const found = await runBatch(["a", "b", "c"], act, () => {}, stopping.signal);
    expect([done, found.state, found.doneCount]).toEqual([["a", "b"], "cancelled", 2]);
    const last = await runBatch(["b"], act, () => {}, new AbortController().signal);
    expect(last.state).toBe("done");
  });
});

describe("steps", () => {
  it("go on where the one before has stopped", async () => {
    const cursors: (string | null)[] = [];
    const step = async (cursor: string | null) => {
      cursors.push(cursor);
      return { doneCount: 1_000, next: cursors.length < 3 ? `after ${cursors.length}` : null };
    };
    // More were there than were counted.
    const found = await runSteps(2_500, step, () => {}, never);
    expect(cursors).toEqual([null, "after 1", "after 2"]);
    expect(found).toMatchObject({ doneCount: 3_000, state: "done", total: 3_000 });
  });

  it("are done when nothing is left, however many were counted", async () => {
    const step = async () => ({ doneCount: 3, next: null });
    expect(await runSteps(5, step, () => {}, never)).toMatchObject({ state: "done", total: 5 });
  });

  it("are stopped in between, with what is done by then", async () => {
    const stopping = new AbortController();
    const step = async () => {
      stopping.abort();
      return { doneCount: 10, next: "more" };
    };
    const found = await runSteps(100, step, () => {}, stopping.signal);
    expect(found).toMatchObject({ doneCount: 10, state: "cancelled" });
  });

  it("end with what one raises", async () => {
    const step = async () => {
      throw new ApiError(503, "overloaded", "later");
    };
    await expect(runSteps(1, step, () => {}, never)).rejects.toThrow("later");
  });
});
