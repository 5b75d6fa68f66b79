// What the Overview shows of the figures: tiles with the shape of their last minutes, and series for charts.

import type { History, StatsAnswer } from "@/api/schema";
import { latency, rate, short } from "@/components/format";
import type { Place } from "@/features/overview/item";

type Sample = History["samples"][number];
type Figure = Exclude<keyof Sample, "at">;

export interface Tile {
  readonly figure: string;
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** Where there is more about it. */
  readonly to?: Place | undefined;
}

export interface Chart {
  readonly id: string;
  readonly title: string;
  /** How its figures are told. */
  readonly told: (value: number) => string;
  readonly series: readonly {
    readonly figure: Figure;
    readonly label: string;
    readonly colour: string;
  }[];
}

export const CHARTS: readonly Chart[] = [
  {
    id: "rates",
    series: [
      { colour: "--accent", figure: "messages_per_sec", label: "Published" },
      { colour: "--info", figure: "deliveries_per_sec", label: "Delivered" },
      { colour: "--other", figure: "acks_per_sec", label: "Acked" },
    ],
    title: "Messages per second",
    told: short,
  },
  {
    id: "publish",
    series: [
      { colour: "--accent", figure: "publish_p50_ms", label: "p50" },
      { colour: "--warn", figure: "publish_p99_ms", label: "p99" },
    ],
    title: "Publish latency",
    told: latency,
  },
  {
    id: "delivery",
    series: [
      { colour: "--accent", figure: "delivery_p50_ms", label: "p50" },
      { colour: "--warn", figure: "delivery_p99_ms", label: "p99" },
    ],
    title: "End to end, publish to first delivery",
    told: latency,
  },
  {
    id: "backlog",
    series: [{ colour: "--info", figure: "backlog", label: "Not settled" }],
    title: "Backlog of durable subscriptions",
    told: short,
  },
  {
    id: "trouble",
    series: [
      { colour: "--warn", figure: "redeliveries_per_sec", label: "Delivered again" },
      { colour: "--bad", figure: "dead_letters_per_sec", label: "Dead letters" },
    ],
    title: "Failures per second",
    told: short,
  },
  {
    id: "connections",
    series: [
      { colour: "--accent", figure: "connections", label: "Open, HTTP and WebSocket" },
      { colour: "--info", figure: "active_subscribers", label: "Subscribers" },
    ],
    title: "Connections",
    told: short,
  },
];

// Where nothing was measured for so long there is no figure of now.
const LATELY_MS = 30_000;

export function tiles(stats: StatsAnswer, samples: readonly Sample[]): Tile[] {
  const of = (figure: Figure) => samples.map((sample) => sample[figure]);
  const lately = (figure: Figure) => {
    const from = Date.parse(samples.at(-1)?.at ?? "") - LATELY_MS;
    const found = samples.findLast((sample) => sample[figure] !== null);
    const value = found && Date.parse(found.at) >= from ? found[figure] : null;
    return value === null ? "–" : latency(value);
  };
  return [
    tile("Published / s", rate(stats.messages_per_sec), of("messages_per_sec"), "/topics"),
    tile("Delivered / s", rate(stats.deliveries_per_sec), of("deliveries_per_sec"), "/topics"),
    tile("Acked / s", rate(stats.acks_per_sec), of("acks_per_sec"), "/subscriptions"),
    tile("Delivered again / s", rate(stats.redeliveries_per_sec), of("redeliveries_per_sec")),
    tile("Dead / s", rate(stats.dead_letters_per_sec), of("dead_letters_per_sec"), "/dead-letters"),
    tile("Publish p99", lately("publish_p99_ms"), of("publish_p99_ms")),
    tile("End to end p50", lately("delivery_p50_ms"), of("delivery_p50_ms")),
    tile("End to end p99", lately("delivery_p99_ms"), of("delivery_p99_ms")),
    tile("Backlog", short(stats.backlog), of("backlog"), "/subscriptions"),
    tile("Subscribers", short(stats.active_subscribers), of("active_subscribers")),
    tile("Connections, HTTP too", short(stats.connections), of("connections"), "/nodes"),
    tile("Topics", short(stats.active_topics), of("active_topics"), "/topics"),
  ];
}

/** Columns for uPlot: seconds first, then each series; null where nothing was measured. */
export function columns(chart: Chart, samples: readonly Sample[]): (number | null)[][] {
  const at = samples.map((sample) => Date.parse(sample.at) / 1_000);
  return [at, ...chart.series.map(({ figure }) => samples.map((sample) => sample[figure]))];
}

/** The same in a sentence, for who does not see the chart. */
export function summary(chart: Chart, samples: readonly Sample[]): string {
  if (samples.length === 0) return `${chart.title}: no samples yet.`;
  const parts = chart.series.map(({ figure, label }) => {
    const values = samples.map((sample) => sample[figure]).filter((value) => value !== null);
    const last = values.at(-1);
    if (last === undefined) return `${label}: nothing was measured`;
    const isNow = samples.at(-1)?.[figure] === last;
    return `${label} ${isNow ? "now" : "when it was measured last"} ${chart.told(last)}, at most ${chart.told(Math.max(...values))}`;
  });
  return `${chart.title}: ${parts.join("; ")}.`;
}

/** Whether there is anything to draw. */
export function hasFigures(chart: Chart, samples: readonly Sample[]): boolean {
  return chart.series.some(({ figure }) => samples.some((sample) => sample[figure] !== null));
}

export interface Step {
  readonly done: boolean;
  readonly title: string;
  /** Where it can be done. */
  readonly to: "/playground" | "/topics";
}

/** What is left to do where nothing is there yet; null once all was done, or if there was something before:
    what the server counts begins with its start. */
export function firstSteps(stats: StatsAnswer, hadMessages: boolean): Step[] | null {
  const { active_subscribers, active_topics, backlog, total_deliveries, total_messages } = stats;
  const steps: Step[] = [
    { done: active_topics > 0, title: "Create a topic", to: "/topics" },
    {
      done: active_subscribers + total_deliveries + backlog > 0,
      title: "Subscribe to it",
      to: "/playground",
    },
    { done: total_messages + backlog > 0, title: "Publish a message", to: "/playground" },
  ];
  return hadMessages || steps.every((step) => step.done) ? null : steps;
}

function tile(label: string, figure: string, values: Tile["values"], to?: Place): Tile {
  return { figure, label, to, values };
}
