import { Field } from "@/components/Field";
import { type LimitFields as Fields, LIMITS, limitProblem } from "@/features/tenants/model";

interface LimitFieldsProps {
  readonly fields: Fields;
  readonly onChange: (fields: Fields) => void;
  /** Which there are; all of them if that is not said. */
  readonly only?: readonly (keyof Fields)[];
}

export function LimitFields({ fields, onChange, only }: LimitFieldsProps) {
  const shown = LIMITS.filter(({ limit }) => only?.includes(limit) ?? true);
  return (
    <fieldset>
      <legend className="font-medium">Limits</legend>
      <p className="mb-2 text-dim text-xs">In units or bytes. Nothing: no limit.</p>
      <div className="grid gap-3 sm:grid-cols-2">
        {shown.map(({ label, limit }) => (
          <Field
            autoComplete="off"
            inputMode="numeric"
            key={limit}
            label={limit.endsWith("_per_s") ? `${label} a second` : label}
            onChange={(event) => onChange({ ...fields, [limit]: event.target.value })}
            problem={limitProblem(fields[limit])}
            value={fields[limit]}
          />
        ))}
      </div>
    </fieldset>
  );
}
