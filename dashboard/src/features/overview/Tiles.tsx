import { Link } from "@tanstack/react-router";
import { Sparkline } from "@/components/Sparkline";
import type { Tile } from "@/features/overview/model";

export function Tiles({ tiles }: { readonly tiles: readonly Tile[] }) {
  return (
    <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-4 2xl:grid-cols-6">
      {tiles.map(({ figure, label, to, values }) => (
        <div
          className="relative rounded-lg border border-line bg-surface px-4 pt-3 pb-2 has-[a]:hover:border-edge"
          key={label}
        >
          <dt className="text-dim text-xs">
            {to ? (
              <Link className="after:absolute after:inset-0 after:rounded-lg" to={to}>
                {label}
              </Link>
            ) : (
              label
            )}
          </dt>
          <dd className="font-semibold text-2xl tabular-nums">
            {figure}
            <Sparkline values={values} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
