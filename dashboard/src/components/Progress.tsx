import { count } from "@/components/format";

interface ProgressProps {
  readonly done: number;
  readonly label: string;
  readonly of: number;
}

/** How far something is; both numbers are said beside it. */
export function Progress({ done, label, of }: ProgressProps) {
  return (
    <div className="space-y-1">
      <progress
        aria-label={label}
        className="bar h-2 w-full"
        max={Math.max(of, 1)}
        value={Math.min(done, of)}
      />
      <p className="text-dim text-xs tabular-nums">
        {count(done)} of {count(of)}
      </p>
    </div>
  );
}
