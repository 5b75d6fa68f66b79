import { Sparkline } from "@/components/Sparkline";
import type { Tile } from "@/features/overview/model";

export function Tiles({ tiles }: { readonly tiles: readonly Tile[] }) {
  return (
    <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-5">
      {tiles.map(({ figure, label, values }) => (
        <div className="rounded-lg border border-line bg-surface px-4 pt-3 pb-2" key={label}>
          <dt className="text-dim text-xs">{label}</dt>
          <dd className="font-semibold text-2xl tabular-nums">
            {figure}
            <Sparkline values={values} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
