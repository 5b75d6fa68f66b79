// The same done to many, one after the other: how far it is, what has failed, and that it can be stopped.

import { asApiError } from "@/api/errors";

export interface Failed {
  readonly id: string;
  readonly why: string;
}

export interface Batch {
  readonly doneCount: number;
  readonly failed: readonly Failed[];
  readonly state: "running" | "done" | "cancelled";
  readonly total: number;
}

export const begun = (total: number): Batch => ({
  doneCount: 0,
  failed: [],
  state: "running",
  total,
});

/** `act` on each id until `signal` says no more; `onStep` hears how far it is. One that fails holds up no other. */
export async function runBatch(
  ids: readonly string[],
  act: (id: string) => Promise<unknown>,
  onStep: (batch: Batch) => void,
  signal: AbortSignal,
): Promise<Batch> {
  let batch = begun(ids.length);
  for (const id of ids) {
    if (signal.aborted) break;
    try {
      await act(id);
      batch = { ...batch, doneCount: batch.doneCount + 1 };
    } catch (error) {
      const failed = { id, why: asApiError(error).message };
      batch = { ...batch, failed: [...batch.failed, failed] };
    }
    onStep(batch);
  }
  return ended(batch, signal);
}

/** One step of something that goes on where the step before has stopped. */
export interface Step {
  readonly doneCount: number;
  readonly next: string | null;
}

/** Steps until there are no more; what was done stays done. Throws what a step throws. */
export async function runSteps(
  total: number,
  step: (cursor: string | null) => Promise<Step>,
  onStep: (batch: Batch) => void,
  signal: AbortSignal,
): Promise<Batch> {
  let batch = begun(total);
  let cursor: string | null = null;
  do {
    const { doneCount, next }: Step = await step(cursor);
    const done = batch.doneCount + doneCount;
    batch = { ...batch, doneCount: done, total: Math.max(total, done) };
    cursor = next;
    onStep(batch);
  } while (cursor !== null && !signal.aborted);
  return ended(batch, signal, cursor === null);
}

function ended(batch: Batch, signal: AbortSignal, isWhole = false): Batch {
  const over = batch.doneCount + batch.failed.length >= batch.total;
  return { ...batch, state: signal.aborted && !over && !isWhole ? "cancelled" : "done" };
}
