// What was searched for in each list when it was shown last: who comes back to it finds it so.

import { useEffect } from "react";
import { parted } from "@/live/acquaintance";

export type List = "/subscriptions" | "/topics";

const searched = new Map<List, string>();
parted.on(() => searched.clear());

export function useSearched(list: List, q: string): void {
  useEffect(() => {
    searched.set(list, q);
  }, [list, q]);
}

export function searchedIn(list: List): string {
  return searched.get(list) ?? "";
}
