import type { ReactNode } from "react";

interface TableProps {
  readonly caption: string;
  readonly columns: readonly string[];
  /** Where a screen is too narrow for the columns each row is a card: these of its cells have its whole width. */
  readonly cards?: readonly string[];
  /** Those of the columns that are numbers: they stand at the right, so that they can be compared. */
  readonly numbers?: readonly string[];
  /** A key first, then a cell for each column. */
  readonly rows: readonly (readonly [key: string, ...cells: ReactNode[]])[];
}

const CARD_CELL =
  "max-sm:block max-sm:min-w-0 max-sm:max-w-full max-sm:whitespace-normal max-sm:break-words max-sm:p-0 max-sm:text-left";

/** A short table; what does not fit in the width scrolls inside it, unless its rows become cards. */
export function Table({ cards, caption, columns, numbers = [], rows }: TableProps) {
  // As blocks they would be no table for who hears the page: so it is said.
  const role = (name: string) => (cards ? name : undefined);
  const look = (narrow: string) => (cards ? narrow : "");
  const side = (column: string | undefined) =>
    column !== undefined && numbers.includes(column) ? "text-right" : "";
  return (
    <section
      aria-label={caption}
      className="overflow-x-auto rounded-lg border border-line bg-surface"
      tabIndex={0}
    >
      <table className={`w-full text-left ${look("max-sm:block")}`} role={role("table")}>
        <caption className={`px-3 pt-3 text-left sm:px-4 text-dim text-xs ${look("max-sm:block")}`}>
          {caption}
        </caption>
        <thead className={look("max-sm:sr-only")} role={role("rowgroup")}>
          <tr className="border-line border-b text-dim text-xs" role={role("row")}>
            {columns.map((column) => (
              <th
                className={`whitespace-nowrap px-3 py-2 sm:px-4 font-medium ${side(column)}`}
                key={column}
                role={role("columnheader")}
                scope="col"
              >
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className={look("max-sm:block")} role={role("rowgroup")}>
          {rows.map(([key, ...cells]) => (
            <tr
              className={`border-line border-b last:border-0 hover:bg-raised ${look("max-sm:grid max-sm:grid-cols-2 max-sm:gap-x-4 max-sm:gap-y-1.5 max-sm:px-3 max-sm:py-2.5")}`}
              key={key}
              role={role("row")}
            >
              {cells.map((cell, at) => (
                <td
                  className={`max-w-96 truncate px-3 py-2 sm:px-4 tabular-nums ${side(columns[at])} ${look(CARD_CELL)} ${cards?.includes(columns[at] ?? "") ? "max-sm:col-span-2" : ""}`}
                  key={columns[at]}
                  role={role("cell")}
                >
                  {cards && (
                    <span aria-hidden className="block text-dim text-xs sm:hidden">
                      {columns[at]}
                    </span>
                  )}
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
