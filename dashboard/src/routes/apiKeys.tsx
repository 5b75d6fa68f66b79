import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import type { KeyAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { count, counted } from "@/components/format";
import { Page } from "@/components/Page";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Table } from "@/components/Table";
import { Time } from "@/components/Time";
import { useServerNow } from "@/components/useNow";
import { CreateKey } from "@/features/apiKeys/CreateKey";
import { KeyDetail } from "@/features/apiKeys/KeyDetail";
import { stateOf } from "@/features/apiKeys/model";
import { Allowed } from "@/features/signin/Allowed";
import { AuthOff } from "@/features/signin/AuthOff";
import { grantText, isOwnKey } from "@/features/signin/model";
import { keysQuery } from "@/services/apiKeys";
import { asksNobody } from "@/services/rights";
import { useReasonAgainstWhole, whoamiQuery } from "@/services/server";

const route = getRouteApi("/api-keys");

export function ApiKeysPage() {
  const who = useQuery(whoamiQuery());
  const { key } = route.useSearch();
  const navigate = route.useNavigate();
  const [creating, setCreating] = useState(false);
  const unable = useReasonAgainstWhole();
  if (who.data && asksNobody(who.data)) {
    return (
      <Page title="API keys">
        <AuthOff what="keys" />
      </Page>
    );
  }
  const create = (
    <Button look="primary" onClick={() => setCreating(true)} unable={unable}>
      <Plus aria-hidden className="size-4" /> Create key
    </Button>
  );
  return (
    <Page actions={create} title="API keys">
      <Allowed reason={unable}>
        <Keys />
      </Allowed>
      <CreateKey onClose={() => setCreating(false)} open={creating} />
      {key !== undefined && unable === null && (
        <KeyDetail
          id={key}
          key={key}
          onClose={() => void navigate({ search: (all) => ({ ...all, key: undefined }) })}
        />
      )}
    </Page>
  );
}

function Keys() {
  const { keys: which } = route.useSearch();
  const navigate = route.useNavigate();
  const keys = useInfiniteQuery(keysQuery());
  const now = useServerNow();
  if (keys.isPending) return <Loading what="keys" />;
  if (!keys.data) {
    return <Failure error={keys.error} onRetry={keys.refetch} what="Keys cannot be listed" />;
  }
  const all = keys.data.pages.flatMap((page) => page.keys);
  const shown = which === "all" ? all : all.filter((each) => stateOf(each, now).isGood);
  const hidden = all.length - shown.length;
  return (
    <>
      <div className="flex flex-wrap items-center gap-3">
        <label className="flex min-h-8 items-center gap-2">
          <input
            checked={which === "all"}
            className="size-4"
            onChange={({ target }) =>
              void navigate({
                replace: true,
                search: (before) => ({ ...before, keys: target.checked ? "all" : "good" }),
              })
            }
            type="checkbox"
          />
          Also keys that are revoked or have expired
        </label>
        {hidden > 0 && <span className="text-dim">{count(hidden)} hidden</span>}
        {keys.isError && <Stale error={keys.error} />}
      </div>
      {shown.length === 0 ? (
        <Empty title={all.length === 0 ? "This tenant has no keys yet" : "No key is active"}>
          {all.length === 0
            ? "Who signs in with a key of another tenant, or with DEFAULT_API_KEY, is in no list."
            : "Those that were are hidden."}
        </Empty>
      ) : (
        <KeyTable keys={shown} now={now} />
      )}
      {keys.hasNextPage && (
        <Button onClick={() => keys.fetchNextPage()}>
          {keys.isFetchingNextPage ? "Loading…" : "Show more"}
        </Button>
      )}
    </>
  );
}

function KeyTable({ keys, now }: { readonly keys: readonly KeyAnswer[]; readonly now: number }) {
  const { data: who } = useQuery(whoamiQuery());
  return (
    <Table
      cards={[["Name", "State"], ["May"], ["Last used", "Ends"], ["Created", "Id"]]}
      caption={`${counted(keys.length, "key")}, by id`}
      columns={["Name", "State", "May", "Last used", "Ends", "Created", "Id"]}
      rows={keys.map((key) => {
        const state = stateOf(key, now);
        const may = key.scopes.map(grantText).join("; ");
        return [
          key.id,
          <span className="flex items-center gap-2" key="name">
            <Link
              className="min-w-0 break-words font-medium hover:underline sm:truncate"
              data-row
              search={(before) => ({ ...before, key: key.id })}
              to="/api-keys"
            >
              {key.name}
            </Link>
            {isOwnKey(who, key.id) && <Badge tone="info">yours</Badge>}
          </span>,
          <Badge key="state" title={state.about} tone={state.tone}>
            {state.label}
          </Badge>,
          <span key="may" title={may}>
            {may}
          </span>,
          key.last_used_at === null ? "never" : <Time at={key.last_used_at} key="used" />,
          key.expires_at === null ? "when revoked" : <Time at={key.expires_at} key="ends" />,
          <Time at={key.created_at} key="created" />,
          <code className="font-mono" key="id">
            {key.id}
          </code>,
        ];
      })}
    />
  );
}
