import { Field } from "@/components/Field";
import { BOUNDS, type Bound, parseBound } from "@/features/topics/model";

export type Texts = Readonly<Record<Bound, string>>;

interface RetentionFieldsProps {
  /** What nothing typed means. */
  readonly empty?: string;
  readonly onChange: (texts: Texts) => void;
  readonly texts: Texts;
}

export function RetentionFields({ empty = "no bound", onChange, texts }: RetentionFieldsProps) {
  return BOUNDS.map(({ bound, example, label, units }) => {
    const parsed = parseBound(texts[bound], units);
    return (
      <Field
        autoComplete="off"
        hint={`Such as ${example}. Empty: ${empty}.`}
        key={bound}
        label={label}
        onChange={(event) => onChange({ ...texts, [bound]: event.target.value })}
        problem={"problem" in parsed ? parsed.problem : null}
        value={texts[bound]}
      />
    );
  });
}

/** Of bounds as they were typed those that differ: what is not said stays the server's default. */
export function changed(wanted: Record<Bound, number | null>, shown: Texts, before: Texts) {
  const differs = BOUNDS.filter(({ bound }) => shown[bound].trim() !== before[bound]);
  return Object.fromEntries(differs.map(({ bound }) => [bound, wanted[bound]]));
}

/** The bounds that were typed; null while one of them is not understood. */
export function bounds(texts: Texts): Record<Bound, number | null> | null {
  const found: Record<Bound, number | null> = {
    max_age_s: null,
    max_bytes: null,
    max_messages: null,
  };
  for (const { bound, units } of BOUNDS) {
    const parsed = parseBound(texts[bound], units);
    if ("problem" in parsed) return null;
    found[bound] = parsed.value;
  }
  return found;
}
