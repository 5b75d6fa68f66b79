import type { TenantAnswer } from "@/api/schema";
import { LOOKS } from "@/components/stateColours";
import { type Share, shares, toneOfShare } from "@/features/tenants/model";

const FILL = { bad: "bg-bad", ok: "bg-ok", warn: "bg-warn" } as const;

/** What a tenant uses against its limits. */
export function Bars({ tenant }: { readonly tenant: TenantAnswer }) {
  return (
    <ul className="grid gap-x-8 gap-y-3 sm:grid-cols-2">
      {shares(tenant).map((each) => (
        <li key={each.kind.limit}>
          <Bar share={each} />
        </li>
      ))}
    </ul>
  );
}

export function Bar({ share: { bound, kind, share, used } }: { readonly share: Share }) {
  const tone = share === null ? "ok" : toneOfShare(share);
  const { icon: Icon, text } = LOOKS[tone];
  const isNear = share !== null && tone !== "ok";
  return (
    <div className="space-y-1">
      <div className="flex items-baseline justify-between gap-3">
        <span>{kind.label}</span>
        <span className={`tabular-nums ${isNear ? text : "text-dim"}`}>
          {isNear && <Icon aria-hidden className="mr-1 inline size-3.5" />}
          {kind.shown(used)}
          {bound === null ? ", no limit" : ` of ${kind.shown(bound)}`}
        </span>
      </div>
      {share !== null && (
        <div aria-hidden className="h-1.5 overflow-hidden rounded-full bg-raised">
          <div
            className={`h-full rounded-full ${FILL[tone as keyof typeof FILL]}`}
            style={{ width: `${Math.min(share, 1) * 100}%` }}
          />
        </div>
      )}
    </div>
  );
}
