import { type ComponentProps, useId } from "react";
import { inputClass } from "@/components/Field";

interface ChoiceProps extends ComponentProps<"select"> {
  readonly label: string;
}

/** One of a few, with its label above. */
export function Choice({ label, ...rest }: ChoiceProps) {
  const id = useId();
  return (
    <div className="space-y-1">
      <label className="block font-medium" htmlFor={id}>
        {label}
      </label>
      <select className={inputClass} id={id} {...rest} />
    </div>
  );
}
