import type { ReactNode } from "react";
import { LOOKS, type Tone } from "@/components/stateColours";

interface BadgeProps {
  readonly children: ReactNode;
  readonly title?: string | undefined;
  readonly tone: Tone;
}

export function Badge({ children, title, tone }: BadgeProps) {
  const { icon: Icon, text } = LOOKS[tone];
  return (
    <span
      className={`inline-flex items-center gap-1 whitespace-nowrap rounded-full border border-current px-2 py-0.5 font-medium text-xs ${text}`}
      title={title}
    >
      <Icon aria-hidden className="size-3.5" />
      {children}
    </span>
  );
}
