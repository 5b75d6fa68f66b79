// What a key means where nothing is being typed: a state machine of one or two keys.

export type Act =
  | { readonly kind: "go"; readonly to: GoTo }
  | {
      readonly kind:
        | "back"
        | "help"
        | "palette"
        | "search"
        | "next"
        | "previous"
        | "open"
        | "redrive";
    };

export const GO = {
  a: "/audit",
  d: "/dead-letters",
  e: "/tenants",
  k: "/api-keys",
  m: "/messages",
  n: "/nodes",
  o: "/",
  p: "/playground",
  s: "/subscriptions",
  t: "/topics",
} as const;
export type GoTo = (typeof GO)[keyof typeof GO];

export interface Pressed {
  readonly key: string;
  readonly withCommand: boolean;
  /** Whether the key goes into a field, or moves in a menu. */
  readonly isTyping: boolean;
}

// Between the two keys.
export const CHORD_MS = 1_200;

const SINGLE: Readonly<Record<string, Act>> = {
  "/": { kind: "search" },
  "?": { kind: "help" },
  Escape: { kind: "back" },
  Enter: { kind: "open" },
  j: { kind: "next" },
  k: { kind: "previous" },
  r: { kind: "redrive" },
};

export const SHEET: readonly (readonly [keys: string, what: string])[] = [
  ["⌘ K or Ctrl K", "Go anywhere: pages, topics and subscriptions"],
  ["/", "Search on this page"],
  [
    "g then o, t, m, d, s, n, p, k, e, a",
    "Overview, Topics, Messages, Dead letters, Subscriptions, Nodes, Playground, API keys, Tenants, Audit log",
  ],
  ["j, k", "The next, the previous row"],
  ["Enter", "Open the row"],
  ["Space", "Pause what is followed live, and go on"],
  ["r", "Redrive the dead letter that is shown"],
  ["Esc", "Close; leave a field; back to the list"],
  ["?", "This sheet"],
];

/** Whether a row with the link `to` has led to `shown`: what is shown may say more, such as which part of it. */
export function leadsTo(to: URL, shown: URL): boolean {
  const asked = [...to.searchParams];
  return (
    to.pathname === shown.pathname &&
    asked.every(([name, value]) => shown.searchParams.get(name) === value)
  );
}

/** The two-key commands: remembers the first key for a moment. */
export class Keys {
  #chordUntil = 0;

  press({ isTyping, key, withCommand }: Pressed, now: number): Act | null {
    const inChord = now < this.#chordUntil;
    this.#chordUntil = 0;
    if (withCommand) return key.toLowerCase() === "k" ? { kind: "palette" } : null;
    if (isTyping) return null;
    if (inChord && key in GO) return { kind: "go", to: GO[key as keyof typeof GO] };
    if (key === "g") {
      this.#chordUntil = now + CHORD_MS;
      return null;
    }
    return SINGLE[key] ?? null;
  }
}
