import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { AsOf } from "@/components/AsOf";
import { Button } from "@/components/Button";
import { Choice } from "@/components/Choice";
import { Field } from "@/components/Field";
import { Page } from "@/components/Page";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { AuditTable } from "@/features/audit/AuditTable";
import { actionOf, actorOf, fromTimeOf, SINCE } from "@/features/audit/model";
import { useKeyNames } from "@/features/audit/useKeyNames";
import { Allowed } from "@/features/signin/Allowed";
import { AuthOff } from "@/features/signin/AuthOff";
import { serverNow } from "@/live/serverClock";
import { auditQuery } from "@/services/audit";
import { asksNobody, reasonAgainst } from "@/services/rights";
import { useReasonAgainstWhole, useTenant, whoamiQuery } from "@/services/server";

const route = getRouteApi("/audit");
// Between what is typed and what is asked for.
const TYPING_MS = 300;

export function AuditPage() {
  const { data: who } = useQuery(whoamiQuery());
  return (
    <Page title="Audit log">
      {who && asksNobody(who) && <AuthOff what="names in the audit log" />}
      <Allowed reason={useReasonAgainstWhole()}>
        <Filters />
        <Entries />
      </Allowed>
    </Page>
  );
}

function Entries() {
  const { action, actor, past: since } = route.useSearch();
  const navigate = route.useNavigate();
  const { chosen } = useTenant();
  const { data: who } = useQuery(whoamiQuery());
  // Once for each choice: with each look it would be another question.
  const [from, setFrom] = useState(() => ({ at: fromTimeOf(since, serverNow()), since }));
  if (from.since !== since) setFrom({ at: fromTimeOf(since, serverNow()), since });
  const { learn, names } = useKeyNames();
  const asked = { action: actionOf(action), actor: actorOf(actor, names), fromTime: from.at };
  const audit = useInfiniteQuery(auditQuery(asked, since));
  if (audit.isPending) return <Loading rows={8} what="the audit log" />;
  if (!audit.data) {
    const { error, refetch } = audit;
    return <Failure error={error} onRetry={refetch} what="The audit log is not shown" />;
  }
  const entries = audit.data.pages.flatMap((page) => page.entries);
  learn(entries);
  const ofAll = who !== undefined && chosen === null && reasonAgainst(who, "admin") === null;
  const isFiltered = action !== "" || actor !== "" || since !== "all";
  const clear = () =>
    void navigate({ search: (all) => ({ ...all, action: "", actor: "", past: "all" as const }) });
  return (
    <>
      {audit.isError && <Stale error={audit.error} />}
      {entries.length === 0 && !audit.hasNextPage && (
        <Empty
          action={isFiltered && <Button onClick={clear}>Clear the filters</Button>}
          title={isFiltered ? "Nothing like this was done" : "Nothing was done yet"}
        >
          Here is who has changed, purged or deleted topics and subscriptions, redriven or discarded
          dead letters, made or revoked keys and tenants, and signed in. Publishing and reading are
          not.
        </Empty>
      )}
      {entries.length > 0 && <AuditTable entries={entries} names={names} ofAll={ofAll} />}
      <AsOf list={audit} />
      {audit.hasNextPage && (
        <div className="flex items-center gap-3">
          <Button onClick={() => audit.fetchNextPage()}>
            {audit.isFetchingNextPage ? "Looking…" : "Look further back"}
          </Button>
          {entries.length === 0 && <span className="text-dim">Nothing was found so far.</span>}
        </div>
      )}
    </>
  );
}

function Filters() {
  const { past: since } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <div className="grid max-w-4xl gap-3 sm:grid-cols-3">
      <Filter example="key:a1B2c3D4, or the name of the key" label="Who" name="actor" />
      <Filter example="deleted topic, or topic.delete" label="What" name="action" />
      <Choice
        label="When"
        onChange={({ target }) => {
          const next = SINCE[target.selectedIndex]?.since ?? "all";
          void navigate({ replace: true, search: (before) => ({ ...before, past: next }) });
        }}
        value={since}
      >
        {SINCE.map((each) => (
          <option key={each.since} value={each.since}>
            {each.label}
          </option>
        ))}
      </Choice>
    </div>
  );
}

interface FilterProps {
  readonly example: string;
  readonly label: string;
  readonly name: "action" | "actor";
}

function Filter({ example, label, name }: FilterProps) {
  const asked = route.useSearch()[name];
  const navigate = route.useNavigate();
  const [typed, setTyped] = useState(asked);
  const [seen, setSeen] = useState(asked);
  // On its way into the address.
  const [sent, setSent] = useState<string | null>(null);
  if (asked !== seen) {
    // The address has changed by itself.
    setSeen(asked);
    setSent(null);
    if (asked !== sent) setTyped(asked);
  }
  useEffect(() => {
    if (typed === asked) return;
    const timer = setTimeout(() => {
      setSent(typed);
      void navigate({ replace: true, search: (before) => ({ ...before, [name]: typed }) });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, asked, name, navigate]);
  return (
    <Field
      autoComplete="off"
      hint={`Exactly, such as ${example}`}
      label={label}
      onChange={(event) => setTyped(event.target.value)}
      spellCheck={false}
      type="search"
      value={typed}
      {...(name === "actor" && { "data-search": true })}
    />
  );
}
