import { Link } from "@tanstack/react-router";
import type { Dated } from "@/components/AsOf";
import { Badge } from "@/components/Badge";
import { bytes, count, counted } from "@/components/format";
import type { Pages } from "@/components/More";
import { Time } from "@/components/Time";
import { VirtualRows } from "@/components/VirtualRows";
import type { Letter } from "@/services/deadLetters";

interface LetterTableProps {
  readonly chosen: ReadonlySet<string>;
  readonly letters: readonly Letter[];
  readonly list: Pages & Dated;
  readonly onChoose: (ids: readonly string[], isChosen: boolean) => void;
  /** The one that is shown beside the list. */
  readonly open: string | null;
  /** The search took too long, and has come so far. */
  readonly searchedTo: string | null;
}

const ROW = "grid h-full grid-cols-[1.5rem_minmax(0,1fr)_5.5rem] items-center gap-x-3 px-4";
// Beside a detail there is no room for the second column.
const GRIDS = {
  narrow: ROW,
  wide: `${ROW} sm:grid-cols-[1.5rem_minmax(0,1fr)_minmax(0,1fr)_5.5rem]`,
} as const;

export function LetterTable(props: LetterTableProps) {
  const { chosen, letters, list, onChoose, open, searchedTo } = props;
  const look = open === null ? "wide" : "narrow";
  const head = (there: readonly Letter[]) => (
    <div className={`${GRIDS[look]} !h-9 font-medium text-dim text-xs`} role="row">
      <div role="columnheader">
        <ChooseAll chosen={chosen} letters={there} onChoose={onChoose} />
      </div>
      <div role="columnheader">Reason</div>
      {look === "wide" && (
        <div className="max-sm:hidden" role="columnheader">
          Topic, subscription
        </div>
      )}
      <div className="text-right" role="columnheader">
        Died
      </div>
    </div>
  );
  const row = (letter: Letter, index: number, isGone: boolean) => (
    <Row
      index={index}
      isChosen={!isGone && chosen.has(letter.id)}
      isGone={isGone}
      isOpen={letter.id === open}
      letter={letter}
      look={look}
      onChoose={onChoose}
    />
  );
  return (
    <VirtualRows
      head={head}
      items={letters}
      keyOf={({ id }) => id}
      label="Dead letters"
      list={list}
      note={
        <>
          <span> · newest first, by when each died first</span>
          {searchedTo && (
            <>
              {" "}
              · searched back to <Time at={searchedTo} />
            </>
          )}
        </>
      }
      row={row}
      rowPx={56}
    >
      {(there) => <span>{counted(there.length, "dead letter")}</span>}
    </VirtualRows>
  );
}

function ChooseAll({
  chosen,
  letters,
  onChoose,
}: Pick<LetterTableProps, "chosen" | "letters" | "onChoose">) {
  const all = letters.length > 0 && letters.every(({ id }) => chosen.has(id));
  return (
    <input
      aria-label={`Choose all ${letters.length} that are loaded`}
      checked={all}
      className="block size-4"
      onChange={() =>
        onChoose(
          letters.map(({ id }) => id),
          !all,
        )
      }
      type="checkbox"
    />
  );
}

interface RowProps {
  readonly index: number;
  readonly isChosen: boolean;
  /** It may have the focus still; it cannot be chosen any more. */
  readonly isGone: boolean;
  readonly isOpen: boolean;
  readonly letter: Letter;
  readonly look: keyof typeof GRIDS;
  readonly onChoose: (ids: readonly string[], isChosen: boolean) => void;
}

function Row({ index, isChosen, isGone, isOpen, letter, look, onChoose }: RowProps) {
  return (
    <div
      aria-rowindex={index + 2}
      className={`${GRIDS[look]} relative border-line border-b hover:bg-raised ${isOpen ? "bg-raised" : ""}`}
      role="row"
    >
      <div className="relative z-10" role="cell">
        <input
          aria-disabled={isGone || undefined}
          aria-label={`Choose ${letter.topic} number ${letter.seq}`}
          checked={isChosen}
          className="block size-4"
          onChange={({ target }) => !isGone && onChoose([letter.id], target.checked)}
          type="checkbox"
        />
      </div>
      <div className="min-w-0" role="cell">
        <div className="flex min-w-0 items-center gap-2">
          <Link
            aria-current={isOpen ? "true" : undefined}
            className="truncate font-medium outline-offset-[-2px] after:absolute after:inset-0"
            data-row
            resetScroll={false}
            search={(before) => ({ ...before, letter: letter.id })}
            title={letter.reason}
            to="/dead-letters"
          >
            {letter.reason}
          </Link>
          <Mark letter={letter} />
        </div>
        <p className="truncate text-dim text-xs">
          <span className={look === "wide" ? "sm:hidden" : ""}>
            {letter.topic} #{letter.seq} ·{" "}
          </span>
          <code className="font-mono">{preview(letter)}</code>
        </p>
      </div>
      {look === "wide" && (
        <div className="min-w-0 max-sm:hidden" role="cell">
          <p className="truncate" title={letter.topic}>
            {letter.topic} <span className="text-dim">#{letter.seq}</span>
          </p>
          <p className="truncate text-dim text-xs" title={letter.subscription ?? undefined}>
            {letter.subscription ?? "not durable"} · attempt {count(letter.attempts)}
          </p>
        </div>
      )}
      <div className="text-right" role="cell">
        <Time at={letter.died_at} inRow />
      </div>
    </div>
  );
}

/** What was done with it since it died. */
export function Mark({ letter }: { readonly letter: Letter }) {
  if (letter.payload_lost) return <Badge tone="bad">lost</Badge>;
  return letter.redriven_at ? <Badge tone="ok">redriven</Badge> : null;
}

function preview({ payload, payload_lost }: Letter): string {
  if (payload_lost) return "the log had lost the message before it died";
  return payload.is_cut ? `${payload.text}… (${bytes(payload.bytes)})` : payload.text;
}
