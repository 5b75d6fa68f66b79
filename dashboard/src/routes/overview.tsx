import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ZoomOut } from "lucide-react";
import { Page } from "@/components/Page";
import { Failure, Loading, Stale } from "@/components/states";
import { clock } from "@/components/times";
import { useNow, useServerNow } from "@/components/useNow";
import { Attention, type Away } from "@/features/overview/Attention";
import { attention, staleness } from "@/features/overview/attention";
import { Busiest } from "@/features/overview/Busiest";
import { ChartCard } from "@/features/overview/ChartCard";
import { FirstSteps } from "@/features/overview/FirstSteps";
import { CHARTS, firstSteps, tiles } from "@/features/overview/model";
import {
  RANGE_NAMES,
  RANGES,
  type Range,
  reachOf,
  type Span,
  shownSpan,
  spanOf,
} from "@/features/overview/ranges";
import { StandingCard } from "@/features/overview/StandingCard";
import { standings } from "@/features/overview/standing";
import { Tiles } from "@/features/overview/Tiles";
import { Allowed } from "@/features/signin/Allowed";
import { useConnection } from "@/live/connection";
import { isStale, usePace } from "@/live/pace";
import { nodesQuery } from "@/services/nodes";
import { managedTopics, readTopics } from "@/services/rights";
import {
  healthQuery,
  useReasonAgainst,
  useReasonAgainstNodes,
  useReasonAgainstReading,
  useReasonAgainstWhole,
  useShownTenant,
  useTenant,
  whoamiQuery,
} from "@/services/server";
import {
  attentionQuery,
  busiestQuery,
  historyQuery,
  newestLetterQuery,
  statsQuery,
} from "@/services/stats";
import { topicsBeforeQuery } from "@/services/topics";

const route = getRouteApi("/");
const BUSIEST_COUNT = 10;
// Tiles have the shape of the last minutes, whatever the charts show.
const TILES = RANGES["15m"];

export function OverviewPage() {
  const unable = useReasonAgainst("manage");
  const unread = useReasonAgainstReading();
  const { data: who } = useQuery(whoamiQuery());
  const isOfAll = useShownTenant() === null;
  return (
    <Page actions={unable === null && <Ranges />} title="Overview">
      {isOfAll && (
        <p className="text-dim">
          Of the whole server, all tenants together. Choose one for its own.
        </p>
      )}
      {who && unable === null && managedTopics(who) !== null && (
        <p className="text-dim">
          Figures, charts and what needs attention are of the whole tenant {who.tenant}, and not of{" "}
          {managedTopics(who)} alone, which your key may manage.
        </p>
      )}
      <Allowed reason={unable}>
        <Figures />
        <AttentionOf />
        <Charts />
      </Allowed>
      <div className="grid items-start gap-4 xl:grid-cols-[2fr_1fr]">
        {unread === null && <BusiestOf />}
        <StandingOf />
      </div>
      {unable === null && <Sources />}
    </Page>
  );
}

function Figures() {
  const stats = useQuery(statsQuery());
  const lately = useQuery(historyQuery(TILES));
  const now = useNow();
  const pace = usePace();
  const old = isStale(stats.dataUpdatedAt, now, pace) || (stats.isError && stats.data);
  const before = useQuery(topicsBeforeQuery());
  const hadMessages = before.data?.topics.some(({ message_count }) => message_count > 0);
  const steps =
    stats.data && !before.isPending ? firstSteps(stats.data, hadMessages ?? false) : null;
  return (
    <>
      {old && <Stale error={stats.error} />}
      {stats.isPending && <Loading what="the figures" />}
      {stats.isError && !stats.data && (
        <Failure error={stats.error} onRetry={stats.refetch} what="There are no figures" />
      )}
      {steps && <FirstSteps steps={steps} />}
      {stats.data && <Tiles tiles={tiles(stats.data, lately.data?.samples ?? [])} />}
    </>
  );
}

function Sources() {
  const { data } = useQuery(statsQuery());
  const names = data?.nodes;
  const unanswered = data?.unanswered_count ?? 0;
  const of =
    names && names.length > 1
      ? `Figures are of ${names.length} nodes together`
      : "Figures are of one node";
  return (
    <p className="text-dim text-xs">
      {of}
      {unanswered > 0 && `, without ${unanswered} that did not answer`}. The last day is kept in
      memory, and gone with a node; for longer, have Prometheus scrape <code>/metrics</code>.
    </p>
  );
}

function Ranges() {
  const { from, range: chosen, to } = route.useSearch();
  const isMarked = spanOf(from, to) !== null;
  return (
    <>
      {isMarked && (
        <Link
          className="inline-flex min-h-8 items-center gap-1.5 rounded-md border border-line bg-surface px-3 py-1"
          search={(before) => ({ ...before, from: undefined, to: undefined })}
          to="/"
        >
          <ZoomOut aria-hidden className="size-4" /> Whole range
        </Link>
      )}
      <nav
        aria-label="Range of the charts"
        className="flex rounded-md border border-line bg-surface p-0.5"
      >
        {RANGE_NAMES.map((range: Range) => (
          <Link
            aria-current={range === chosen && !isMarked ? "true" : undefined}
            className="min-w-11 rounded px-2 py-1 text-center aria-[current]:bg-raised aria-[current]:font-semibold"
            activeOptions={{ exact: true }}
            key={range}
            search={(before) => ({ ...before, from: undefined, range, to: undefined })}
            to="/"
          >
            {range}
          </Link>
        ))}
      </nav>
    </>
  );
}

function Charts() {
  const { from, range, to } = route.useSearch();
  const navigate = route.useNavigate();
  const nowS = useServerNow() / 1_000;
  const span = spanOf(from, to);
  const history = useQuery(historyQuery(reachOf(range, span, nowS)));
  const samples = history.data?.samples ?? [];
  const isOfTenant = history.data !== undefined && !samples.some(hasLatency) && samples.length > 1;
  const mark = (marked: Span | null) =>
    void navigate({
      search: (before) => ({
        ...before,
        from: marked ? Math.floor(marked.from) : undefined,
        to: marked ? Math.ceil(marked.to) : undefined,
      }),
    });
  if (history.isError && !history.data) {
    return <Failure error={history.error} onRetry={history.refetch} what="There is no history" />;
  }
  return (
    <section aria-label="Charts">
      <div className="grid gap-4 lg:grid-cols-2 2xl:grid-cols-3">
        {CHARTS.map((chart) => (
          <ChartCard
            chart={chart}
            key={chart.id}
            nothing={
              isOfTenant
                ? "Nothing was measured yet. Latencies are measured of a whole server, and not of a single tenant."
                : ""
            }
            onSpan={mark}
            samples={samples}
            span={shownSpan(range, span, nowS)}
          />
        ))}
      </div>
      <p className="mt-2 text-dim text-xs max-sm:hidden">
        Drag over a chart to zoom in, double-click to see the whole range.
      </p>
    </section>
  );
}

function hasLatency(sample: { publish_p50_ms: number | null; delivery_p50_ms: number | null }) {
  return sample.publish_p50_ms !== null || sample.delivery_p50_ms !== null;
}

function BusiestOf() {
  const busiest = useQuery(busiestQuery(BUSIEST_COUNT));
  const shown = useShownTenant();
  const { data: who } = useQuery(whoamiQuery());
  if (busiest.isPending) return <Loading what="the busiest topics" />;
  if (busiest.isError && !busiest.data) {
    return (
      <Failure
        error={busiest.error}
        onRetry={busiest.refetch}
        what="The busiest topics are not known"
      />
    );
  }
  const of = who ? readTopics(who) : null;
  return <Busiest of={of} shown={shown} topics={busiest.data?.topics ?? []} />;
}

function StandingOf() {
  const health = useQuery(healthQuery());
  const nodes = useQuery({ ...nodesQuery(), enabled: useReasonAgainstNodes() === null });
  const away = useAway();
  const now = useNow();
  if (health.isPending && !away) return <Loading what="how the store stands" />;
  const sinceOf = ({ data, dataUpdatedAt, isError }: Looked) =>
    data !== undefined && (away || isError) ? clock(dataUpdatedAt, now) : null;
  const since = { health: sinceOf(health), nodes: sinceOf(nodes) };
  const unknown = away ? "It is not known: the server does not answer." : health.error?.message;
  return (
    <StandingCard
      standings={standings(health.data, nodes.data, since)}
      unknown={unknown ? sentence(unknown) : null}
    />
  );
}

type Looked = Pick<UseQueryResult, "data" | "dataUpdatedAt" | "isError">;

const sentence = (text: string) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

/** That the server is not reached; null: it answers, or nobody knows yet. */
function useAway(): Away | null {
  const { answeredAt, reason, state } = useConnection();
  if (state !== "lost") return null;
  const since = answeredAt === null ? null : clock(answeredAt, Date.now());
  return { reason: reason ?? "it cannot be reached", since };
}

function AttentionOf() {
  const unwhole = useReasonAgainstWhole();
  const unable = useReasonAgainstNodes();
  const attentive = useQuery({ ...attentionQuery(), enabled: unwhole === null });
  const { own } = useTenant();
  const shown = useShownTenant();
  const have = attentive.data?.dead_letters_by_tenant.map(({ tenant }) => tenant) ?? [];
  // It is asked for the tenant that is shown, or the own one.
  const letters = useQuery(newestLetterQuery(have.includes(shown ?? own ?? "default")));
  const stats = useQuery(statsQuery());
  const history = useQuery(historyQuery(TILES));
  const health = useQuery(healthQuery());
  const nodes = useQuery({ ...nodesQuery(), enabled: unable === null });
  const away = useAway();
  if (attentive.isPending && stats.isPending && !away) {
    return <Loading what="what needs attention" />;
  }
  const isAnySeen = [attentive, health, history, nodes, stats].some(
    ({ data, isError }) => data !== undefined && !isError,
  );
  const facts = {
    attentive: attentive.data,
    health: health.data,
    history: history.data,
    letters: letters.data,
    nodes: nodes.data,
    stats: stats.data,
  };
  const items = attention(facts, { own, shown });
  const unseen = [
    ...unlooked("nodes", unable ?? missing(nodes)),
    ...unlooked("subscriptions, dead letters and limits", unwhole ?? missing(attentive)),
    ...staleness(attentive.isError ? undefined : attentive.data),
    ...unlooked("the store", missing(health)),
  ];
  const seen = { isAnySeen, items, unseen };
  return <Attention away={away} shown={shown} {...seen} />;
}

/** Why what was asked for is not there, or is old; null: it is there. */
function missing({ data, error }: Pick<UseQueryResult, "data" | "error">): string | null {
  if (error) return error.message;
  return data === undefined ? "the server was asked, and has not answered yet" : null;
}

function unlooked(what: string, reason: string | null): string[] {
  if (reason === null) return [];
  // In the middle of a sentence.
  const part = reason.charAt(0).toLowerCase() + reason.slice(1).replace(/\.$/, "");
  return [`${what} (${part})`];
}
