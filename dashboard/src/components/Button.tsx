import { type ComponentProps, useId } from "react";
import { Reason } from "@/components/Reason";

const LOOK = {
  danger: "border-bad bg-bad text-on-bad hover:opacity-90",
  plain: "border-line bg-surface text-ink hover:bg-raised",
  primary: "border-accent bg-accent text-on-accent hover:opacity-90",
  quiet: "border-transparent text-ink hover:bg-raised",
} as const;

interface ButtonProps extends ComponentProps<"button"> {
  readonly look?: keyof typeof LOOK;
  /** Where `unable` can be read, as in forms: in the row before its buttons, or after this one. Else it is only heard, and
   * shown to who points at the button. */
  readonly told?: "after" | "before" | undefined;
  /** Why it cannot be pressed now; it can still be reached, so that the reason is heard. */
  readonly unable?: string | null | undefined;
}

export const buttonClass = (look: keyof typeof LOOK) =>
  `inline-flex min-h-8 items-center justify-center gap-1.5 whitespace-nowrap rounded-md border px-3 py-1 font-medium aria-disabled:cursor-not-allowed aria-disabled:border-line aria-disabled:bg-raised aria-disabled:text-dim aria-disabled:hover:opacity-100 ${LOOK[look]}`;

export function Button(props: ButtonProps) {
  const { children, className, look = "plain", onClick, told, unable, ...rest } = props;
  const id = useId();
  const described = [rest["aria-describedby"], unable ? id : null].filter(Boolean).join(" ");
  return (
    <>
      <button
        aria-disabled={unable ? true : undefined}
        className={`${buttonClass(look)} ${className ?? ""}`}
        onClick={unable ? (event) => event.preventDefault() : onClick}
        type="button"
        {...rest}
        aria-describedby={described || undefined}
        title={unable ?? rest.title}
      >
        {children}
        {unable && !told && (
          <span hidden id={id}>
            {unable}
          </span>
        )}
      </button>
      {unable && told && <Reason id={id} isFirst={told === "before"} text={unable} />}
    </>
  );
}
