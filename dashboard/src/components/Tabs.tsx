import { type ReactNode, useEffect, useRef } from "react";

interface TabsProps {
  /** Links, because each is an address. */
  readonly children: ReactNode;
  readonly current: string;
  readonly label: string;
}

export const tabClass =
  "whitespace-nowrap border-transparent border-b-2 px-3 py-2 outline-offset-[-2px] aria-[current]:border-accent aria-[current]:font-semibold";

/** The parts of a page; where they do not fit, the current one is scrolled to. */
export function Tabs({ children, current, label }: TabsProps) {
  const bar = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another one is current
  useEffect(() => {
    const found = bar.current?.querySelector<HTMLElement>("[aria-current]");
    if (bar.current && found) {
      const { left, width } = found.getBoundingClientRect();
      const middle = bar.current.getBoundingClientRect().left + bar.current.clientWidth / 2;
      bar.current.scrollLeft += left + width / 2 - middle;
    }
  }, [current]);
  return (
    <nav aria-label={label} className="flex gap-1 overflow-x-auto border-line border-b" ref={bar}>
      {children}
    </nav>
  );
}
