import { Link, useRouter } from "@tanstack/react-router";
import { LOOKS } from "@/components/stateColours";
import type { Item } from "@/features/overview/item";

interface AttentionProps {
  readonly items: readonly Item[];
  /** The tenant that pages show if they are not told another one; null: all. */
  readonly shown: string | null;
  /** What was not looked at, and why. */
  readonly unseen: readonly string[];
  /** Whether anything was looked at. */
  readonly isAnySeen: boolean;
  /** The server is not reached, why, and when it answered last: what is said here is of then. */
  readonly away: Away | null;
}

export interface Away {
  readonly reason: string;
  /** Null: never. */
  readonly since: string | null;
}

export function Attention({ away, isAnySeen, items, shown, unseen }: AttentionProps) {
  return (
    <section aria-labelledby="attention" className="rounded-lg border border-line bg-surface p-4">
      <h2 className="font-medium" id="attention">
        Needs attention
      </h2>
      {away ? (
        <Unreached away={away} hasItems={items.length > 0} />
      ) : (
        items.length === 0 && <p className="mt-1 text-dim">{nothing(isAnySeen, unseen)}</p>
      )}
      <ul className="mt-2 divide-y divide-line">
        {items.map((item) => (
          <Row item={item} key={item.id} shown={shown} />
        ))}
      </ul>
      {away === null && unseen.length > 0 && (
        <p className="mt-2 text-dim text-xs">Not looked at: {unseen.join("; ")}.</p>
      )}
    </section>
  );
}

function nothing(isAnySeen: boolean, unseen: readonly string[]): string {
  if (unseen.length === 0) return "Nothing. Good.";
  return isAnySeen ? "Nothing of what was looked at." : "Not known.";
}

function Unreached({ away, hasItems }: { readonly away: Away; readonly hasItems: boolean }) {
  const { icon: Icon, text } = LOOKS.bad;
  const { reason, since } = away;
  return (
    <div className="mt-2 flex gap-2.5 py-2">
      <Icon aria-label="Wrong" className={`mt-0.5 size-4 shrink-0 ${text}`} role="img" />
      <div className="min-w-0">
        <p className="font-medium">The server does not answer</p>
        <p className="break-words text-dim">
          {since === null ? "It has not answered yet" : `It answered last at ${since}`}: {reason}.{" "}
          {hasItems ? "What follows was so then." : "What needs attention is not known."}
        </p>
      </div>
    </div>
  );
}

function Row({ item, shown }: { readonly item: Item; readonly shown: string | null }) {
  const to = useCause(item);
  const { icon: Icon, text } = LOOKS[item.tone];
  return (
    <li className="flex gap-2.5 py-2">
      <Icon
        aria-label={item.tone === "bad" ? "Wrong" : "Watch"}
        className={`mt-0.5 size-4 shrink-0 ${text}`}
        role="img"
      />
      <div className="min-w-0">
        <Link
          className="break-words font-medium underline-offset-2 hover:underline"
          data-row
          search={item.tenant === undefined || item.tenant === shown ? {} : { tenant: item.tenant }}
          to={to as "/"}
        >
          {item.what}
        </Link>
        <p className="break-words text-dim">{item.why}</p>
      </div>
    </li>
  );
}

/** The address of the one thing that it is about, if there is a page of it; else that of all of its kind. */
function useCause({ name, to }: Item): string {
  const { routesByPath } = useRouter();
  const hasPage = name !== undefined && `${to}/$name` in routesByPath;
  return hasPage ? `${to}/${encodeURIComponent(name)}` : to;
}
