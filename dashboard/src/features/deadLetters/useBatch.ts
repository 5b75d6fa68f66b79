import { useEffect, useRef, useState } from "react";
import type { Batch } from "@/features/deadLetters/batch";

/** A batch as a component has it: `begin` runs one, `stop` ends it after what is under way. */
export function useBatch(onEnd: () => void) {
  const [batch, setBatch] = useState<Batch | null>(null);
  const [error, setError] = useState<unknown>(null);
  const stopping = useRef<AbortController | null>(null);
  // Nobody could see or stop it any more once the page is left.
  useEffect(() => () => stopping.current?.abort(), []);
  const begin = async (
    run: (onStep: (batch: Batch) => void, signal: AbortSignal) => Promise<Batch>,
  ) => {
    const controller = new AbortController();
    stopping.current = controller;
    setError(null);
    try {
      setBatch(await run(setBatch, controller.signal));
    } catch (raised) {
      setError(raised);
      setBatch((before) => before && { ...before, state: "done" });
    }
    onEnd();
  };
  return { batch, begin, error, stop: () => stopping.current?.abort() };
}
