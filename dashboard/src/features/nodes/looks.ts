// How nodes are told apart in a drawing: by a colour and a pattern, which together are no other node's.

const COLOURS = [
  "text-apart-1",
  "text-apart-2",
  "text-apart-3",
  "text-apart-4",
  "text-apart-5",
  "text-apart-6",
  "text-apart-7",
  "text-apart-8",
] as const;

/** What is left out of the middle of a line, as `stroke-dasharray`: nothing, a line, dashes, dots. */
const PATTERNS = ["", "none", "5 4", "1.5 3"] as const;

/** More than there are looks: from here on they repeat, and only numbers tell. */
export const LOOKS_COUNT = COLOURS.length * PATTERNS.length;

export interface Look {
  readonly colour: string;
  readonly dashes: string;
}

/** Of a node by its index: neighbours have other colours and other patterns. */
export function lookOf(node: number): Look {
  const round = Math.floor(node / COLOURS.length);
  return {
    colour: COLOURS[node % COLOURS.length] ?? COLOURS[0],
    dashes: PATTERNS[(node + round) % PATTERNS.length] ?? "",
  };
}
