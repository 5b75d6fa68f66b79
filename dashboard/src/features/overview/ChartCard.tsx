import { useMemo } from "react";
import type { History } from "@/api/schema";
import { LateCode } from "@/components/code";
import { LatePart } from "@/components/LatePart";
import { Clock } from "@/components/Time";
import { useServerNow } from "@/components/useNow";
import { type Chart, columns, hasFigures, summary } from "@/features/overview/model";
import type { Span } from "@/features/overview/ranges";

const PLOT = new LateCode(() => import("@/components/Plot"));
// Rows of the table: the newest.
const ROWS_COUNT = 20;

interface ChartCardProps {
  readonly chart: Chart;
  /** Why there may be nothing. */
  readonly nothing: string;
  /** Null: the whole range again. */
  readonly onSpan: (span: Span | null) => void;
  readonly samples: History["samples"];
  readonly span: Span;
}

export function ChartCard({ chart, nothing, onSpan, samples, span }: ChartCardProps) {
  const data = useMemo(() => columns(chart, samples), [chart, samples]);
  return (
    <section
      aria-label={chart.title}
      className="min-w-0 rounded-lg border border-line bg-surface p-4"
    >
      <div className="mb-2 flex flex-wrap items-baseline justify-between gap-x-4">
        <h2 className="font-medium">{chart.title}</h2>
        <ul className="flex flex-wrap gap-x-3 text-xs">
          {chart.series.map(({ colour, label }) => (
            <li className="flex items-center gap-1.5" key={label}>
              <span
                aria-hidden
                className="inline-block h-0.5 w-4"
                style={{ background: `var(${colour})` }}
              />
              {label}
            </li>
          ))}
        </ul>
      </div>
      {!hasFigures(chart, samples) ? (
        <p className="flex h-45 items-center justify-center text-center text-dim">
          {samples.length === 0 ? "No samples yet" : nothing}
        </p>
      ) : (
        <LatePart
          before={<div aria-hidden className="h-45" />}
          code={PLOT}
          not="The chart cannot be drawn"
        >
          {({ Plot }) => (
            <Plot
              columns={data}
              from={span.from}
              onMark={(from, to) => onSpan({ from, to })}
              onUnmark={() => onSpan(null)}
              series={chart.series}
              summary={summary(chart, samples)}
              to={span.to}
              told={chart.told}
            />
          )}
        </LatePart>
      )}
      <details className="mt-1 text-xs">
        <summary className="w-fit cursor-pointer py-1 text-dim">As a table</summary>
        <Table chart={chart} samples={samples} />
      </details>
    </section>
  );
}

function Table({ chart, samples }: Pick<ChartCardProps, "chart" | "samples">) {
  const now = useServerNow();
  return (
    <table className="mt-1 w-full text-left tabular-nums">
      <thead>
        <tr>
          <th scope="col">When</th>
          {chart.series.map(({ label }) => (
            <th className="text-right" key={label} scope="col">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {samples
          .slice(-ROWS_COUNT)
          .reverse()
          .map((sample) => (
            <tr key={sample.at}>
              <td>
                <Clock at={sample.at} now={now} />
              </td>
              {chart.series.map(({ figure }) => (
                <td className="text-right" key={figure}>
                  {told(chart, sample[figure])}
                </td>
              ))}
            </tr>
          ))}
      </tbody>
    </table>
  );
}

function told(chart: Chart, value: number | null): string {
  return value === null ? "–" : chart.told(value);
}
