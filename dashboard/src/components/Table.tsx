import type { ReactNode } from "react";

interface TableProps {
  readonly caption: string;
  readonly columns: readonly string[];
  /** Those of the columns that are numbers: they stand at the right, so that they can be compared. */
  readonly numbers?: readonly string[];
  /** A key first, then a cell for each column. */
  readonly rows: readonly (readonly [key: string, ...cells: ReactNode[]])[];
}

/** A short table; what does not fit in the width scrolls inside it. */
export function Table({ caption, columns, numbers = [], rows }: TableProps) {
  const side = (column: string | undefined) =>
    column !== undefined && numbers.includes(column) ? "text-right" : "";
  return (
    <section
      aria-label={caption}
      className="overflow-x-auto rounded-lg border border-line bg-surface"
      tabIndex={0}
    >
      <table className="w-full text-left">
        <caption className="px-3 pt-3 text-left sm:px-4 text-dim text-xs">{caption}</caption>
        <thead>
          <tr className="border-line border-b text-dim text-xs">
            {columns.map((column) => (
              <th
                className={`whitespace-nowrap px-3 py-2 sm:px-4 font-medium ${side(column)}`}
                key={column}
                scope="col"
              >
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([key, ...cells]) => (
            <tr className="border-line border-b last:border-0 hover:bg-raised" key={key}>
              {cells.map((cell, at) => (
                <td
                  className={`max-w-96 truncate px-3 py-2 sm:px-4 tabular-nums ${side(columns[at])}`}
                  key={columns[at]}
                >
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
