// Whether what is shown follows the server. What has failed, or waits for who is to see it, does not.

import { useEffect, useSyncExternalStore } from "react";
import { Signal } from "@/live/acquaintance";

let stillCount = 0;
const changed = new Signal();

/** While it is there, and `isStill`, nothing is called live. */
export function useStill(isStill = true): void {
  useEffect(() => {
    if (!isStill) return;
    change(1);
    return () => change(-1);
  }, [isStill]);
}

export function useIsStill(): boolean {
  return useSyncExternalStore(changed.on, () => stillCount > 0);
}

function change(by: number): void {
  stillCount += by;
  changed.say();
}
