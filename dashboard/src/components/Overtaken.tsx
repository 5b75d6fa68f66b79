interface OvertakenProps {
  /** What somebody else has changed, each with what it is now. */
  readonly fields: readonly string[];
}

/** Says in a form that what was typed into is not as it was then. */
export function Overtaken({ fields }: OvertakenProps) {
  if (fields.length === 0) return null;
  return (
    <p className="text-warn" role="status">
      Changed elsewhere since you have typed: {fields.join("; ")}. If you save, what you have typed
      holds.
    </p>
  );
}
