import { X } from "lucide-react";
import type { ReactNode } from "react";
import { inputClass } from "@/components/Field";
import { SearchBox } from "@/components/SearchBox";
import {
  chips,
  type FilterName,
  type LettersSearch,
  SINCES,
  type Since,
} from "@/features/deadLetters/model";

interface FiltersProps {
  /** At the end of the row. */
  readonly children?: ReactNode;
  readonly onChange: (change: Partial<LettersSearch>) => void;
  readonly search: LettersSearch;
}

const SHOWN = { all: "All", open: "Not redriven", redriven: "Redriven" } as const;
const SELECT = `${inputClass} !w-auto`;

export function Filters({ children, onChange, search }: FiltersProps) {
  const set = (name: FilterName) => (typed: string) => onChange({ [name]: typed || undefined });
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap items-center gap-2">
        <SearchBox
          className="min-w-56 flex-1 sm:max-w-md"
          isMain
          label="Search in payload, key, message id and reason"
          onSearch={set("q")}
          placeholder="Text in payload, key, id, reason ( / )"
          text={search.q ?? ""}
        />
        <SearchBox
          className="min-w-40 flex-1 sm:max-w-48"
          label="Only of this topic, by its exact name"
          onSearch={set("topic")}
          placeholder="Exact topic"
          text={search.topic ?? ""}
        />
        <SearchBox
          className="min-w-40 flex-1 sm:max-w-48"
          label="Only of this subscription, by its exact name"
          onSearch={set("subscription")}
          placeholder="Exact subscription"
          text={search.subscription ?? ""}
        />
        <select
          aria-label="Whether they were redriven"
          className={SELECT}
          onChange={({ target }) => onChange({ show: target.value as LettersSearch["show"] })}
          value={search.show}
        >
          {Object.entries(SHOWN).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <select
          aria-label="When they died"
          className={SELECT}
          onChange={({ target }) => onChange({ since: (target.value as Since) || undefined })}
          value={search.since ?? ""}
        >
          <option value="">At any time</option>
          {SINCES.map((since) => (
            <option key={since} value={since}>
              Last {since}
            </option>
          ))}
        </select>
        {children}
      </div>
      <Chips onChange={onChange} search={search} />
    </div>
  );
}

function Chips({ onChange, search }: FiltersProps) {
  const active = chips(search);
  if (active.length === 0) return null;
  return (
    <ul aria-label="What is filtered by" className="flex flex-wrap gap-2">
      {active.map(({ name, text }) => (
        <li
          className="inline-flex max-w-full items-center gap-1 rounded-full border border-line bg-raised pl-3 text-xs"
          key={name}
        >
          <span className="truncate">{text}</span>
          <button
            aria-label={`Remove the filter: ${text}`}
            className="rounded-full p-1.5 hover:bg-surface"
            onClick={() => onChange({ [name]: undefined })}
            type="button"
          >
            <X aria-hidden className="size-3.5" />
          </button>
        </li>
      ))}
    </ul>
  );
}
