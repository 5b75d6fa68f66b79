// The two things that can be done with dead letters, in words.

export type Act = "discard" | "redrive";

interface Words {
  readonly did: string;
  readonly doing: string;
  /** Of a job: what it takes in a second, if nothing else is typed: as the API and the command line have it. */
  readonly ratePerS: string;
  readonly verb: string;
}

export const ACTS: Readonly<Record<Act, Words>> = {
  discard: { did: "Discarded", doing: "Discarding", ratePerS: "1000", verb: "Discard" },
  redrive: { did: "Redriven", doing: "Redriving", ratePerS: "100", verb: "Redrive" },
};

/** What it means, of one or of several. `where`: whom a redrive delivers to. */
export function consequences(act: Act, where: string, isOne = false): string[] {
  const audited = "It is in the audit log.";
  if (act === "discard") {
    const lost = isOne
      ? "Nothing brings it back: its payload is gone, if the log has not got it any more."
      : "Nothing brings them back: their payloads are gone, if the log has not got them any more.";
    return [lost, audited];
  }
  return [
    `Delivered again to ${where}, with attempts counted from 1.`,
    isOne
      ? "It stays, marked, in the list of those that are redriven; if it dies again it counts as not redriven."
      : "They stay, marked, in the list of those that are redriven; one that dies again counts as not redriven.",
    audited,
  ];
}
