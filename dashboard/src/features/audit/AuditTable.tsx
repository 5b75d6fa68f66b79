import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { AuditAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { count, counted } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Snippet } from "@/components/Snippet";
import { Table } from "@/components/Table";
import { Time } from "@/components/Time";
import { exactly } from "@/components/times";
import { keyName, said, times } from "@/features/audit/model";
import type { KeyNames } from "@/features/audit/useKeyNames";

const route = getRouteApi("/audit");

interface AuditTableProps {
  readonly entries: readonly AuditAnswer[];
  readonly names: KeyNames;
  /** Whether they are of all tenants. */
  readonly ofAll: boolean;
}

export function AuditTable({ entries, names, ofAll }: AuditTableProps) {
  const [open, setOpen] = useState<AuditAnswer | null>(null);
  return (
    <>
      <Table
        cards={[
          ["What", "More"],
          ["When", "Who"],
          ["On", ofAll ? "Tenant" : "From"],
          ...(ofAll ? ([["From"]] as const) : []),
        ]}
        caption={`${counted(entries.length, "entry", "entries")}, the newest first`}
        columns={["When", "Who", "What", "On", ...(ofAll ? ["Tenant"] : []), "From", "More"]}
        numbers={["More"]}
        rows={entries.map((entry) => [
          entry.id,
          <Time at={entry.at} key="at" />,
          <Actor entry={entry} key="actor" name={keyName(entry.actor, names)} />,
          <Act entry={entry} key="act" />,
          entry.target || "–",
          ...(ofAll ? [entry.tenant || "–"] : []),
          entry.address || "–",
          <Button
            aria-label={`Details of ${entry.action} at ${entry.at}`}
            className="-mr-3"
            data-row
            key="more"
            look="quiet"
            onClick={() => setOpen(entry)}
          >
            Details
          </Button>,
        ])}
      />
      {open && (
        <Entry entry={open} name={keyName(open.actor, names)} onClose={() => setOpen(null)} />
      )}
    </>
  );
}

interface ActorProps {
  readonly entry: AuditAnswer;
  /** Of its key. */
  readonly name: string | null;
}

function Actor({ entry, name }: ActorProps) {
  return (
    <Link
      className="hover:underline"
      search={(before) => ({ ...before, actor: entry.actor })}
      title="Only what this one did"
      to={route.id}
    >
      {name && <span>{foreign(name)} </span>}
      <span className={`font-mono ${name ? "text-dim" : ""}`}>{foreign(entry.actor)}</span>
    </Link>
  );
}

function Act({ entry }: { readonly entry: AuditAnswer }) {
  const total = times(entry);
  return (
    <Link
      className="hover:underline"
      search={(before) => ({ ...before, action: entry.action })}
      title={`${entry.action}: only these`}
      to={route.id}
    >
      {said(entry.action)}
      {total !== null && `, ${count(total)} times`}
    </Link>
  );
}

interface EntryProps extends ActorProps {
  readonly onClose: () => void;
}

function Entry({ entry, name, onClose }: EntryProps) {
  const rows: readonly (readonly [string, string])[] = [
    ["When", exactly(entry.at)],
    ["Who", name ? `${foreign(name)} (${foreign(entry.actor)})` : foreign(entry.actor)],
    ["What", `${said(entry.action)} (${entry.action})`],
    ["On", entry.target || "–"],
    ["Tenant", entry.tenant || "of none"],
    ["From", entry.address || "not known"],
    ["Request", entry.request_id || "–"],
  ];
  return (
    <Modal onClose={onClose} open title={said(entry.action)}>
      <dl className="mb-4 grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-2">
        {rows.map(([name, value]) => (
          <div className="contents" key={name}>
            <dt className="text-dim">{name}</dt>
            <dd className="whitespace-pre-line break-words">{value}</dd>
          </div>
        ))}
      </dl>
      <Snippet label="What it says more" text={JSON.stringify(entry.detail, null, 2)} />
    </Modal>
  );
}
