import { LOOKS } from "@/components/stateColours";
import type { Standing } from "@/features/overview/standing";

interface StandingCardProps {
  readonly standings: readonly Standing[];
  /** Why it is not known now; null: it is. */
  readonly unknown: string | null;
}

export function StandingCard({ standings, unknown }: StandingCardProps) {
  return (
    <section
      aria-labelledby="standing"
      className="min-w-0 rounded-lg border border-line bg-surface p-4"
    >
      <h2 className="font-medium" id="standing">
        Store and nodes
      </h2>
      {unknown !== null && <p className="mt-1 text-warn">{unknown}</p>}
      {standings.length === 0 && unknown === null && (
        <p className="mt-1 text-dim">Only operators are told what the server runs on.</p>
      )}
      <dl className="mt-2 space-y-2">
        {standings.map(({ label, more, told, tone }) => {
          const { icon: Icon, text } = LOOKS[tone];
          return (
            <div className="flex gap-2.5" key={label}>
              <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${text}`} />
              <dt className="w-20 shrink-0 text-dim">{label}</dt>
              <dd className="min-w-0 break-words">
                {told}
                {more && <span className="block text-dim text-xs">{more}</span>}
              </dd>
            </div>
          );
        })}
      </dl>
    </section>
  );
}
