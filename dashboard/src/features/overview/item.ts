// One thing that needs a look.

export type Place = "/dead-letters" | "/subscriptions" | "/nodes" | "/topics" | "/";

export interface Item {
  readonly id: string;
  readonly tone: "bad" | "warn";
  readonly what: string;
  readonly why: string;
  /** Where its cause is … */
  readonly to: Place;
  /** … and what it is called there. */
  readonly name?: string;
  readonly tenant?: string;
}

export function worstFirst(items: readonly Item[]): Item[] {
  return [...items].sort(
    (one, other) => Number(one.tone === "warn") - Number(other.tone === "warn"),
  );
}
