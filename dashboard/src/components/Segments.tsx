interface SegmentsProps<Value extends string> {
  readonly chosen: Value;
  readonly label: string;
  readonly onChoose: (value: Value) => void;
  readonly options: readonly (readonly [value: Value, label: string])[];
}

/** A few choices of which one holds. */
export function Segments<Value extends string>(props: SegmentsProps<Value>) {
  const { chosen, label, onChoose, options } = props;
  return (
    <fieldset className="flex w-fit min-w-0 max-w-full overflow-x-auto rounded-md border border-line bg-surface p-0.5">
      <legend className="sr-only">{label}</legend>
      {options.map(([value, text]) => (
        <button
          aria-pressed={value === chosen}
          className="min-h-7 whitespace-nowrap rounded px-2.5 aria-pressed:bg-raised aria-pressed:font-semibold"
          key={value}
          onClick={() => onChoose(value)}
          type="button"
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
