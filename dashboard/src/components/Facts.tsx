import type { ReactNode } from "react";

interface FactsProps {
  readonly rows: readonly (readonly [label: string, value: ReactNode])[];
}

/** What is known of one thing, line by line. */
export function Facts({ rows }: FactsProps) {
  return (
    <dl className="divide-y divide-line rounded-lg border border-line bg-surface px-4">
      {rows.map(([label, value]) => (
        <div
          className="grid grid-cols-[7rem_minmax(0,1fr)] sm:grid-cols-[minmax(6rem,11rem)_1fr] gap-4 py-2"
          key={label}
        >
          <dt className="text-dim">{label}</dt>
          <dd className="min-w-0 break-words tabular-nums">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
