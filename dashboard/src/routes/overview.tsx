import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Page } from "@/components/Page";
import { Failure, Loading, Stale } from "@/components/states";
import { useNow } from "@/components/useNow";
import { Attention } from "@/features/overview/Attention";
import { attention } from "@/features/overview/attention";
import { ChartCard } from "@/features/overview/ChartCard";
import { FirstSteps } from "@/features/overview/FirstSteps";
import { CHARTS, firstSteps, RANGES, type Range, tiles } from "@/features/overview/model";
import { Tiles } from "@/features/overview/Tiles";
import { isStale, usePace } from "@/live/pace";
import { ephemeralLettersQuery } from "@/services/deadLetters";
import { nodesQuery } from "@/services/nodes";
import { healthQuery } from "@/services/server";
import { historyQuery, statsQuery } from "@/services/stats";
import { LOOKED_AT_COUNT, subscriptionsQuery } from "@/services/subscriptions";

const route = getRouteApi("/");

export function OverviewPage() {
  const { range } = route.useSearch();
  const stats = useQuery(statsQuery());
  const history = useQuery(historyQuery(RANGES[range]));
  const now = useNow();
  const pace = usePace();
  const samples = history.data?.samples ?? [];
  const old = isStale(stats.dataUpdatedAt, now, pace) || (stats.isError && stats.data);
  const steps = stats.data ? firstSteps(stats.data) : null;
  return (
    <Page actions={<Ranges chosen={range} />} title="Overview">
      {old && <Stale error={stats.error} />}
      {stats.isPending && <Loading what="the figures" />}
      {stats.isError && !stats.data && (
        <Failure error={stats.error} onRetry={stats.refetch} what="There are no figures" />
      )}
      {stats.data && <Tiles tiles={tiles(stats.data, samples)} />}
      <div className={`grid items-start gap-4 ${steps ? "xl:grid-cols-2" : ""}`}>
        {steps && <FirstSteps steps={steps} />}
        <AttentionOf range={range} />
      </div>
      <div className="grid gap-4 lg:grid-cols-2 2xl:grid-cols-3">
        {history.data &&
          CHARTS.map((chart) => <ChartCard chart={chart} key={chart.id} samples={samples} />)}
      </div>
      <p className="text-dim text-xs">
        The server keeps the last hour in memory. For longer, have Prometheus scrape{" "}
        <code>/metrics</code>.
      </p>
    </Page>
  );
}

function Ranges({ chosen }: { readonly chosen: Range }) {
  return (
    <nav
      aria-label="Range of the charts"
      className="flex rounded-md border border-line bg-surface p-0.5"
    >
      {(Object.keys(RANGES) as Range[]).map((range) => (
        <Link
          aria-current={range === chosen ? "true" : undefined}
          className="min-w-11 rounded px-2 py-1 text-center aria-[current]:bg-raised aria-[current]:font-semibold"
          key={range}
          search={(before) => ({ ...before, range })}
          to="/"
        >
          {range}
        </Link>
      ))}
    </nav>
  );
}

function AttentionOf({ range }: { readonly range: Range }) {
  const stats = useQuery(statsQuery());
  const history = useQuery(historyQuery(RANGES[range]));
  const health = useQuery(healthQuery());
  const nodes = useQuery(nodesQuery());
  const subscriptions = useQuery(subscriptionsQuery());
  const deadLetters = useQuery(ephemeralLettersQuery());
  const all = { deadLetters, health, history, nodes, stats, subscriptions };
  if (Object.values(all).every((query) => query.isPending))
    return <Loading what="what needs attention" />;
  const items = attention({
    deadLetters: deadLetters.data,
    health: health.data,
    history: history.data,
    nodes: nodes.data,
    stats: stats.data,
    subscriptions: subscriptions.data,
  });
  const unseen = [
    ...(nodes.isError ? [`nodes (${nodes.error.message})`] : []),
    ...(subscriptions.isError ? [`subscriptions (${subscriptions.error.message})`] : []),
    ...(deadLetters.isError ? [`dead letters (${deadLetters.error.message})`] : []),
    ...(subscriptions.data?.next ? [`subscriptions behind the first ${LOOKED_AT_COUNT}`] : []),
  ];
  return <Attention items={items} unseen={unseen} />;
}
