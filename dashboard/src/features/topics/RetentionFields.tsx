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

/** The bounds that were typed and differ from what there was; null while one of them is not understood. What is not
 * said stays as it is, or the server's default. */
export function changedBounds(
  texts: Texts,
  before: Texts,
): Partial<Record<Bound, number | null>> | null {
  const found: Partial<Record<Bound, number | null>> = {};
  for (const { bound, units } of BOUNDS) {
    if (texts[bound].trim() === before[bound]) continue;
    const parsed = parseBound(texts[bound], units);
    if ("problem" in parsed) return null;
    found[bound] = parsed.value;
  }
  return found;
}
