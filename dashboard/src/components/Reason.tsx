/** Beside buttons that cannot be pressed: why, for who does not point at them. */
export function Reason({ text }: { readonly text: string | null }) {
  return text && <p className="text-dim text-xs max-sm:order-last max-sm:w-full">{text}</p>;
}
