import { lazy, Suspense, useMemo } from "react";
import type { History } from "@/api/schema";
import { short } from "@/components/format";
import { Time } from "@/components/Time";
import { type Chart, columns, summary } from "@/features/overview/model";

const Plot = lazy(() => import("@/components/Plot").then((found) => ({ default: found.Plot })));
// Rows of the table: the newest.
const ROWS_COUNT = 20;

interface ChartCardProps {
  readonly chart: Chart;
  readonly samples: History["samples"];
}

export function ChartCard({ chart, samples }: ChartCardProps) {
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
      <Suspense fallback={<div aria-hidden className="h-45" />}>
        {samples.length < 2 ? (
          <p className="flex h-45 items-center justify-center text-dim">No samples yet</p>
        ) : (
          <Plot columns={data} series={chart.series} summary={summary(chart, samples)} />
        )}
      </Suspense>
      <details className="mt-1 text-xs">
        <summary className="w-fit cursor-pointer py-1 text-dim">As a table</summary>
        <Table chart={chart} samples={samples} />
      </details>
    </section>
  );
}

function Table({ chart, samples }: ChartCardProps) {
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
                <Time at={sample.at} />
              </td>
              {chart.series.map(({ figure }) => (
                <td className="text-right" key={figure}>
                  {short(sample[figure])}
                </td>
              ))}
            </tr>
          ))}
      </tbody>
    </table>
  );
}
