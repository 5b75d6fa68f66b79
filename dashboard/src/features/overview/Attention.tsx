import { Link } from "@tanstack/react-router";
import { LOOKS } from "@/components/stateColours";
import type { Item } from "@/features/overview/attention";

interface AttentionProps {
  readonly items: readonly Item[];
  /** What was not looked at, and why. */
  readonly unseen: readonly string[];
}

export function Attention({ items, unseen }: AttentionProps) {
  return (
    <section aria-labelledby="attention" className="rounded-lg border border-line bg-surface p-4">
      <h2 className="font-medium" id="attention">
        Needs attention
      </h2>
      {items.length === 0 && <p className="mt-1 text-dim">Nothing. Good.</p>}
      <ul className="mt-2 divide-y divide-line">
        {items.map((item) => (
          <Row item={item} key={item.id} />
        ))}
      </ul>
      {unseen.length > 0 && (
        <p className="mt-2 text-dim text-xs">Not looked at: {unseen.join("; ")}.</p>
      )}
    </section>
  );
}

function Row({ item }: { readonly item: Item }) {
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
          search={item.search ?? {}}
          to={item.to}
        >
          {item.what}
        </Link>
        <p className="break-words text-dim">{item.why}</p>
      </div>
    </li>
  );
}
