// What was searched for in each list when it was shown last: who comes back to it finds it so.

import { useEffect } from "react";

export type List = "/subscriptions" | "/topics";

const searched = new Map<List, string>();

export function useSearched(list: List, q: string): void {
  useEffect(() => {
    searched.set(list, q);
  }, [list, q]);
}

export function searchedIn(list: List): string {
  return searched.get(list) ?? "";
}
