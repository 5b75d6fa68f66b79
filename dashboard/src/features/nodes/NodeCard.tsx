import { useState } from "react";
import type { NodeAnswer, NodeLink } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { bytes, count, duration, rate } from "@/components/format";
import { toneOf } from "@/components/stateColours";
import { Time } from "@/components/Time";
import { DrainDialog } from "@/features/nodes/DrainDialog";
import {
  isOutOfReach,
  lagTone,
  reasonAgainstDrain,
  standing,
  whyUnknown,
} from "@/features/nodes/model";

interface NodeCardProps {
  readonly node: NodeAnswer;
  readonly nodes: readonly NodeAnswer[];
  readonly unable: string | null;
}

/** One node: what it is, what it does, and whom it is linked with. */
export function NodeCard({ node, nodes, unable }: NodeCardProps) {
  const [open, setOpen] = useState(false);
  const drains = node.state === "draining";
  const [word, tone] = standing(node);
  return (
    <article
      aria-labelledby={`node-${node.id}`}
      className="flex min-w-0 flex-col gap-3 rounded-lg border border-line bg-surface p-4"
    >
      <div className="flex flex-wrap items-center gap-2">
        <h2 className="min-w-0 break-all font-semibold" id={`node-${node.id}`}>
          {node.id}
        </h2>
        <Badge tone={tone}>{word}</Badge>
        {drains && isOutOfReach(node) && <Badge tone="warn">draining</Badge>}
        <Button
          className="ml-auto"
          data-row
          onClick={() => setOpen(true)}
          told="after"
          unable={unable ?? reasonAgainstDrain(node, nodes)}
        >
          {drains ? "Undrain…" : "Drain…"}
        </Button>
      </div>
      {node.unanswered && (
        <p className="break-words text-warn">
          What only it knows is not known: {whyUnknown(node)}.
        </p>
      )}
      <dl className="grid grid-cols-[1.3fr_1fr_1fr] gap-x-3 gap-y-2">
        {figures(node).map(([label, value]) => (
          <div className="min-w-0" key={label}>
            <dt className="text-dim text-xs">{label}</dt>
            <dd className="break-all tabular-nums">{value}</dd>
          </div>
        ))}
      </dl>
      {node.links && node.links.length > 0 && <Links links={node.links} />}
      {open && <DrainDialog node={node} onClose={() => setOpen(false)} />}
    </article>
  );
}

/** What only a node itself knows is not known of one that has not answered. */
function known(value: number | null | undefined, shown: (value: number) => string): string {
  return value === null || value === undefined ? "–" : shown(value);
}

function figures(node: NodeAnswer): [string, React.ReactNode][] {
  const { lease_age_s, loop_lag_s, rates } = node;
  return [
    ["Subscriptions run", known(node.owned_subscriptions, count)],
    ["Connections", known(node.connections, count)],
    ["Published / s", known(rates?.messages_per_sec, rate)],
    ["Delivered / s", known(rates?.deliveries_per_sec, rate)],
    [
      "Loop lag",
      loop_lag_s == null ? (
        "–"
      ) : (
        <Badge
          key="lag"
          title="The longest that something due has waited for its turn, in ten seconds"
          tone={lagTone(loop_lag_s)}
        >
          {`${(loop_lag_s * 1_000).toFixed(loop_lag_s < 0.01 ? 1 : 0)} ms`}
        </Badge>
      ),
    ],
    ["Lease renewed", lease_age_s === null ? "needs none" : leaseText(lease_age_s)],
    ["Address", node.address],
    ["Version", node.version],
    ["Started", <Time at={node.started_at} key="started" />],
  ];
}

function leaseText(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s ago` : `${duration(seconds)} ago`;
}

function Links({ links }: { readonly links: readonly NodeLink[] }) {
  return (
    <div>
      <h3 className="text-dim text-xs">Links</h3>
      <ul className="mt-1 space-y-1">
        {links.map((link) => (
          <li key={link.id}>
            <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
              <span className="break-all">{link.id}</span>
              <Badge tone={toneOf(link.state)}>{link.state}</Badge>
              <span className="text-dim text-xs tabular-nums">
                for {duration(link.for_s)}
                {link.round_trip_s !== null &&
                  `, ${(link.round_trip_s * 1_000).toFixed(1)} ms there and back`}
                {link.queue_bytes > 0 && `, ${bytes(link.queue_bytes)} wait`}
              </span>
            </div>
            {link.state !== "up" && link.last_error && (
              <p className="break-words text-warn text-xs">{link.last_error}</p>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
