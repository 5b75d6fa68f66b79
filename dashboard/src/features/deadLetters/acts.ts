// The two things that can be done with dead letters, in words.

export type Act = "discard" | "redrive";

interface Words {
  readonly did: string;
  readonly doing: string;
  /** Of a job: what it takes in a second, if nothing else is typed. */
  readonly ratePerS: string;
  readonly verb: string;
}

export const ACTS: Readonly<Record<Act, Words>> = {
  discard: { did: "Discarded", doing: "Discarding", ratePerS: "1000", verb: "Discard" },
  redrive: { did: "Redriven", doing: "Redriving", ratePerS: "50", verb: "Redrive" },
};

/** What it means. `where`: whom a redrive delivers to. */
export function consequences(act: Act, where: string): string[] {
  const audited = "It is in the audit log.";
  if (act === "discard") {
    const lost = "their payloads are gone, if the log has not got them any more.";
    return [`Nothing brings them back: ${lost}`, audited];
  }
  return [
    `Delivered again to ${where}, with attempts counted from 1.`,
    "They stay in the list, marked as redriven; one that dies again counts as not redriven.",
    audited,
  ];
}
