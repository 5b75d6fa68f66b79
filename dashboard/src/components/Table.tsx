import type { CSSProperties, ReactNode } from "react";

interface TableProps {
  readonly caption: string;
  /** Where a screen is too narrow for the columns each row is a card. These are its lines, of one or two cells; those
   * of the first one say without their labels what they are. */
  readonly cards?: readonly CardLine[];
  readonly columns: readonly string[];
  /** Those of the columns that are numbers: they stand at the right, so that they can be compared. */
  readonly numbers?: readonly string[];
  /** A key first, then a cell for each column. */
  readonly rows: readonly (readonly [key: string, ...cells: ReactNode[]])[];
}

type CardLine = readonly [string, string?];

const CARD =
  "max-sm:grid max-sm:grid-cols-2 max-sm:gap-x-4 max-sm:gap-y-1.5 max-sm:px-3 max-sm:py-2.5";
const CARD_CELL =
  "max-sm:block max-sm:min-w-0 max-sm:max-w-full max-sm:whitespace-normal max-sm:break-words max-sm:p-0 max-sm:text-left";

/** A short table; what does not fit in the width scrolls inside it, unless its rows become cards. */
export function Table({ cards, caption, columns, numbers = [], rows }: TableProps) {
  // As blocks they would be no table for who hears the page: so it is said.
  const role = (name: string) => (cards ? name : undefined);
  const look = (narrow: string) => (cards ? narrow : "");
  const side = (column: string) => (numbers.includes(column) ? "text-right" : "");
  return (
    <section
      aria-label={caption}
      className="overflow-x-auto rounded-lg border border-line bg-surface"
      tabIndex={0}
    >
      <table className={`w-full text-left ${look("max-sm:block")}`} role={role("table")}>
        <caption className={`px-3 pt-3 text-left text-dim text-xs sm:px-4 ${look("max-sm:block")}`}>
          {caption}
        </caption>
        <thead className={look("max-sm:sr-only")} role={role("rowgroup")}>
          <tr className="border-line border-b text-dim text-xs" role={role("row")}>
            {columns.map((column) => (
              <th
                className={`whitespace-nowrap px-3 py-2 font-medium sm:px-4 ${side(column)}`}
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
              className={`border-line border-b last:border-0 hover:bg-raised ${look(CARD)}`}
              key={key}
              role={role("row")}
            >
              {columns.map((column, at) => (
                <Cell cards={cards} column={column} key={column} side={side(column)}>
                  {cells[at]}
                </Cell>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface CellProps {
  readonly cards: readonly CardLine[] | undefined;
  readonly children: ReactNode;
  readonly column: string;
  readonly side: string;
}

const CELL = "max-w-96 truncate px-3 py-2 tabular-nums sm:px-4";

function Cell({ cards, children, column, side }: CellProps) {
  if (!cards) return <td className={`${CELL} ${side}`}>{children}</td>;
  const { className, isLabelled, style } = inCard(cards, column);
  return (
    // biome-ignore lint/a11y/noRedundantRoles: as a block it has no role of its own
    <td className={`${CELL} ${side} ${CARD_CELL} ${className}`} role="cell" style={style}>
      {isLabelled && (
        <span aria-hidden className="block text-dim text-xs sm:hidden">
          {column}
        </span>
      )}
      {children}
    </td>
  );
}

interface Placed {
  readonly className: string;
  readonly isLabelled: boolean;
  readonly style: CSSProperties;
}

/** Where the cell of a column stands in a card; what is in no line comes last. */
function inCard(cards: readonly CardLine[], column: string): Placed {
  const at = cards.findIndex((line) => line.includes(column));
  const line = cards[at];
  const isFirst = at === 0;
  const place = line?.[1] === column ? 1 : 0;
  const end = isFirst && place === 1 ? "max-sm:justify-self-end" : "";
  const span = line?.[1] === undefined ? "max-sm:col-span-2" : "";
  return {
    className: `${isFirst ? "max-sm:self-center" : ""} ${end} ${span}`,
    isLabelled: !isFirst,
    style: { order: at < 0 ? cards.length * 2 : at * 2 + place },
  };
}
