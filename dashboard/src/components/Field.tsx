import { type ComponentProps, type ReactNode, useId } from "react";
import { useIsHeld } from "@/components/ActForm";

interface FieldProps extends ComponentProps<"input"> {
  readonly hint?: ReactNode;
  readonly label: string;
  readonly problem?: string | null | undefined;
}

export const inputClass =
  "min-h-8 w-full rounded-md border border-edge bg-surface px-2.5 py-1 text-ink placeholder:text-dim [&[readonly]]:bg-raised [&[readonly]]:text-dim";

export function Field({ hint, label, problem, ...rest }: FieldProps) {
  const id = useId();
  const isHeld = useIsHeld();
  const about = problem ? `${id}-problem` : hint ? `${id}-hint` : undefined;
  return (
    <div className="space-y-1">
      <label className="block font-medium" htmlFor={id}>
        {label}
      </label>
      <input
        aria-describedby={about}
        aria-invalid={problem ? true : undefined}
        className={inputClass}
        id={id}
        readOnly={isHeld}
        {...rest}
      />
      {problem ? (
        <p className="text-bad" id={`${id}-problem`}>
          {problem}
        </p>
      ) : (
        hint && (
          <p className="text-dim text-xs" id={`${id}-hint`}>
            {hint}
          </p>
        )
      )}
    </div>
  );
}
