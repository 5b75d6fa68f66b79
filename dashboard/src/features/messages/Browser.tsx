import { X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button } from "@/components/Button";
import { inputClass } from "@/components/Field";
import { Segments } from "@/components/Segments";
import { Empty } from "@/components/states";
import { Dead } from "@/features/messages/Dead";
import { Detail } from "@/features/messages/Detail";
import { type Filter, HELP, parseFilter, without } from "@/features/messages/filter";
import { LiveTail } from "@/features/messages/LiveTail";
import { isPattern, type Look, READS } from "@/features/messages/look";
import { Stored } from "@/features/messages/Stored";
import { Allowed } from "@/features/signin/Allowed";
import { useReasonAgainst, useReasonAgainstReading } from "@/services/server";

interface BrowserProps {
  readonly look: Look;
  readonly onLook: (change: Partial<Look>) => void;
  /** Where the topic is chosen, if it can be. */
  readonly topicChoice?: ReactNode;
}

/** The messages of a topic: where to read, what to keep, and beside it the one that is open. */
export function Browser({ look, onLook, topicChoice }: BrowserProps) {
  const filter = parseFilter(look.f);
  const id = look.msg || filter.id || "";
  return (
    <div className="space-y-3">
      <div className="flex flex-wrap items-center gap-2">
        {topicChoice}
        <Segments
          chosen={look.read}
          label="Where to read"
          onChoose={(read) => onLook({ read })}
          options={READS}
        />
        {look.read !== "live" && <FilterBox key={look.f} look={look} onLook={onLook} />}
      </div>
      <div className="flex flex-wrap items-center gap-2 text-xs">
        {look.read !== "live" && <Chips filter={filter} onLook={onLook} />}
        <p className="mr-2 text-dim">
          Looking changes nothing: no message is consumed, and no delivery changes.
        </p>
        {look.read !== "live" && <Help />}
      </div>
      <Docked id={id}>
        <List filter={filter} look={look} onLook={onLook} />
      </Docked>
    </div>
  );
}

/** A list, and beside it the message that is open, or in its place where there is no room for both. */
export function Docked({ children, id }: { readonly children: ReactNode; readonly id: string }) {
  // The same elements with and without it: a list that is made anew has lost its place.
  const grid = "grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_minmax(24rem,32rem)]";
  return (
    <div className={id ? grid : ""}>
      <div className={`min-w-0 ${id ? "max-lg:hidden" : ""}`}>{children}</div>
      {id && <Detail id={id} />}
    </div>
  );
}

interface ListProps {
  readonly filter: Filter;
  readonly look: Look;
  readonly onLook: (change: Partial<Look>) => void;
}

function List({ filter, look, onLook }: ListProps) {
  const reasons = {
    reading: useReasonAgainstReading(look.topic),
    subscribing: useReasonAgainst("subscribe", look.topic),
  };
  if (look.topic === "") {
    return filter.id ? null : <Empty title="Choose a topic">Its messages are listed here.</Empty>;
  }
  if (look.read === "live") {
    return (
      <Allowed reason={reasons.subscribing}>
        <LiveTail key={look.topic} look={look} />
      </Allowed>
    );
  }
  if (isPattern(look.topic)) {
    const follow = <Button onClick={() => onLook({ read: "live" })}>Follow it live</Button>;
    return (
      <Empty action={follow} title="A pattern is many topics">
        What is stored is looked at one topic at a time.
      </Empty>
    );
  }
  if (filter.problems.length > 0) return null;
  if (filter.isDead) return <Dead look={look} />;
  return (
    <Allowed reason={reasons.reading}>
      <Stored filter={filter} look={look} onLook={onLook} />
    </Allowed>
  );
}

function FilterBox({ look, onLook }: Omit<ListProps, "filter">) {
  const [typed, setTyped] = useState(look.f);
  return (
    <form
      className="min-w-56 flex-1"
      onSubmit={(event) => {
        event.preventDefault();
        onLook({ f: typed.trim(), msg: "" });
      }}
    >
      <input
        aria-label="Find messages"
        className={inputClass}
        data-search
        onChange={({ target }) => setTyped(target.value)}
        placeholder="Text, key:a, after:-15m … ( / , then Enter)"
        spellCheck={false}
        type="search"
        value={typed}
      />
    </form>
  );
}

function Chips({ filter, onLook }: Pick<ListProps, "filter" | "onLook">) {
  return (
    <>
      {filter.tokens.map((token, at) => (
        <Button
          aria-label={`Without ${token}`}
          className="min-h-6 px-2 py-0 font-mono"
          // biome-ignore lint/suspicious/noArrayIndexKey: one may be there twice
          key={at}
          onClick={() => onLook({ f: without(filter, token), msg: "" })}
        >
          <span className="max-w-64 truncate">{token}</span> <X aria-hidden className="size-3" />
        </Button>
      ))}
      <div aria-live="polite" className="text-bad empty:sr-only">
        {filter.problems.join(" ")}
      </div>
    </>
  );
}

function Help() {
  return (
    <details className="text-dim">
      <summary className="w-fit cursor-pointer py-1">What can be looked for</summary>
      <dl className="mt-1 grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 rounded-md border border-line bg-surface p-3">
        {HELP.map(([token, what]) => (
          <div className="contents" key={token}>
            <dt className="font-mono">{token}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
