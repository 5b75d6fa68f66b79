interface ReasonProps {
  readonly id?: string;
  /** Before everything else in its row. */
  readonly isFirst?: boolean;
  readonly text: string | null;
}

/** Beside buttons that cannot be pressed: why, for who does not point at them. */
export function Reason({ id, isFirst = false, text }: ReasonProps) {
  if (!text) return null;
  const place = isFirst ? "order-first" : "";
  return (
    <p className={`self-center text-dim text-xs max-sm:order-last max-sm:w-full ${place}`} id={id}>
      {text}
    </p>
  );
}
