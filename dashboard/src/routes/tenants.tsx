import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import type { TenantAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { bytes, count, counted } from "@/components/format";
import { Page } from "@/components/Page";
import { Reason } from "@/components/Reason";
import { Failure, Loading, Stale } from "@/components/states";
import { Table } from "@/components/Table";
import { Time } from "@/components/Time";
import { Allowed } from "@/features/signin/Allowed";
import { AuthOff } from "@/features/signin/AuthOff";
import { Bar, Bars } from "@/features/tenants/Bars";
import { CreateTenant } from "@/features/tenants/CreateTenant";
import { fullest, limitTexts } from "@/features/tenants/model";
import { TenantDetail } from "@/features/tenants/TenantDetail";
import { asksNobody } from "@/services/rights";
import { useReasonAgainst, useReasonAgainstWhole, whoamiQuery } from "@/services/server";
import { ownTenantQuery, tenantPagesQuery } from "@/services/tenants";

const route = getRouteApi("/tenants");

/** All of them for operators, and its own for the key of one. */
export function TenantsPage() {
  const { name } = route.useSearch();
  const navigate = route.useNavigate();
  const { data: who } = useQuery(whoamiQuery());
  const unable = useReasonAgainst("admin");
  const unwhole = useReasonAgainstWhole();
  const [creating, setCreating] = useState(false);
  if (who && asksNobody(who)) {
    return (
      <Page title="Tenants">
        <AuthOff what="tenants" />
      </Page>
    );
  }
  const create = (
    <>
      {/* Where nothing is shown, that is about what one would need to see it. */}
      {unwhole === null && <Reason text={unable} />}
      <Button look="primary" onClick={() => setCreating(true)} unable={unable}>
        <Plus aria-hidden className="size-4" /> Create tenant
      </Button>
    </>
  );
  return (
    <Page actions={create} title="Tenants">
      {who && unable === null && <All />}
      {who && unable !== null && (
        <Allowed reason={unwhole}>
          <Own />
        </Allowed>
      )}
      <CreateTenant onClose={() => setCreating(false)} open={creating} />
      {name !== undefined && unable === null && (
        <TenantDetail
          key={name}
          name={name}
          onClose={() => void navigate({ search: (all) => ({ ...all, name: undefined }) })}
        />
      )}
    </Page>
  );
}

function Own() {
  const own = useQuery(ownTenantQuery());
  if (own.isPending) return <Loading what="the tenant" />;
  if (!own.data) {
    return <Failure error={own.error} onRetry={own.refetch} what="The tenant is not shown" />;
  }
  const tenant = own.data;
  return (
    <section className="max-w-3xl space-y-4 rounded-lg border border-line bg-surface p-5">
      <div className="flex flex-wrap items-center gap-3">
        <h2 className="font-semibold text-base">{tenant.name}</h2>
        <span className="text-dim">Yours. Only an operator sees others, and changes limits.</span>
        {own.isError && <Stale error={own.error} />}
      </div>
      <Bars tenant={tenant} />
      <p className="text-dim">{counted(tenant.usage.keys, "key")}.</p>
    </section>
  );
}

function All() {
  const tenants = useInfiniteQuery(tenantPagesQuery());
  if (tenants.isPending) return <Loading what="tenants" />;
  if (!tenants.data) {
    const { error, refetch } = tenants;
    return <Failure error={error} onRetry={refetch} what="Tenants cannot be listed" />;
  }
  const all = tenants.data.pages.flatMap((page) => page.tenants);
  return (
    <>
      {tenants.isError && <Stale error={tenants.error} />}
      <TenantTable tenants={all} />
      {tenants.hasNextPage && (
        <Button onClick={() => tenants.fetchNextPage()}>
          {tenants.isFetchingNextPage ? "Loading…" : "Show more"}
        </Button>
      )}
    </>
  );
}

const NUMBERS = [
  "Topics",
  "Subscriptions",
  "Connections",
  "Stored",
  "Dead, redriven too",
  "Keys, revoked too",
];

function TenantTable({ tenants }: { readonly tenants: readonly TenantAnswer[] }) {
  return (
    <Table
      cards={[
        ["Name"],
        ["Nearest to its limit"],
        ["Topics", "Subscriptions"],
        ["Connections", "Stored"],
        ["Dead, redriven too", "Keys, revoked too"],
        ["Created"],
      ]}
      caption={`${counted(tenants.length, "tenant")}, by name`}
      columns={["Name", "Nearest to its limit", ...NUMBERS, "Created"]}
      numbers={NUMBERS}
      rows={tenants.map((tenant) => {
        const { name, usage } = tenant;
        return [
          name,
          <Link
            className="font-medium hover:underline"
            data-row
            key="name"
            search={(before) => ({ ...before, name })}
            to="/tenants"
          >
            {name}
          </Link>,
          <Nearest key="nearest" tenant={tenant} />,
          count(usage.topics),
          count(usage.subscriptions),
          count(usage.connections),
          bytes(usage.stored_bytes),
          count(usage.dead_letters),
          count(usage.keys),
          <Time at={tenant.created_at} key="created" />,
        ];
      })}
    />
  );
}

function Nearest({ tenant }: { readonly tenant: TenantAnswer }) {
  const share = fullest(tenant);
  if (share !== null) {
    return (
      <div className="min-w-52">
        <Bar share={share} />
      </div>
    );
  }
  const rates = limitTexts(tenant.limits);
  return <span className="text-dim">{rates[0] ?? "no limits"}</span>;
}
