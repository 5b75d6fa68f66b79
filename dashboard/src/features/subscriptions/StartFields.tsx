import { Field } from "@/components/Field";
import type { StartKind } from "@/features/subscriptions/model";

interface StartFieldsProps {
  readonly kind: StartKind;
  readonly onChange: (kind: StartKind, typed: string) => void;
  readonly problem: string | null;
  readonly typed: string;
}

const LABELS: Readonly<Record<StartKind, string>> = {
  day: "A day ago",
  earliest: "The oldest message that is stored",
  hour: "An hour ago",
  new: "Only what is published from now on",
  seq: "A number",
  time: "A time",
};

const ORDER: readonly StartKind[] = ["earliest", "day", "hour", "time", "seq", "new"];

/** Where a subscription begins, or goes on. */
export function StartFields({ kind, onChange, problem, typed }: StartFieldsProps) {
  return (
    <fieldset className="space-y-2">
      <legend className="mb-1 font-medium">From where</legend>
      {ORDER.map((each) => (
        <label className="flex min-h-7 items-center gap-2" key={each}>
          <input
            checked={each === kind}
            className="size-4"
            name="start"
            onChange={() => onChange(each, "")}
            type="radio"
          />
          {LABELS[each]}
        </label>
      ))}
      {kind === "seq" && (
        <Field
          hint="The first message that comes, in each topic."
          inputMode="numeric"
          label="Number of the first message"
          onChange={(event) => onChange(kind, event.target.value)}
          problem={typed === "" ? null : problem}
          value={typed}
        />
      )}
      {kind === "time" && (
        <Field
          hint="Of this machine's clock: what was published at that time or later comes."
          label="Published since"
          onChange={(event) => onChange(kind, event.target.value)}
          problem={typed === "" ? null : problem}
          step="1"
          type="datetime-local"
          value={typed}
        />
      )}
    </fieldset>
  );
}
