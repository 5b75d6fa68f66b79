// One thing that needs a look.

export type Place = "/dead-letters" | "/subscriptions" | "/nodes" | "/tenants" | "/topics" | "/";

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

/** Whose things are looked at. */
export interface Whose {
  readonly own: string | undefined;
  /** The one tenant that they are of; null: of all together. */
  readonly shown: string | null | undefined;
}

/** The tenant in words, where it does not go without saying. */
export function ofTenant(tenant: string, { own, shown }: Whose): string {
  const isSaid = shown === null || (own !== undefined && tenant !== own);
  return isSaid ? ` of tenant ${tenant}` : "";
}

export function worstFirst(items: readonly Item[]): Item[] {
  return [...items].sort(
    (one, other) => Number(one.tone === "warn") - Number(other.tone === "warn"),
  );
}
