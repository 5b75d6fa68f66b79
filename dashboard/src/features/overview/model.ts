// What the Overview shows of the figures: tiles with the shape of their last minutes, and series for charts.

import type { History, StatsAnswer } from "@/api/schema";
import { rate, short } from "@/components/format";

export const RANGES = { "5m": 60, "15m": 180, "1h": 720 } as const;
export type Range = keyof typeof RANGES;

type Sample = History["samples"][number];
type Figure =
  | "acks_per_sec"
  | "backlog"
  | "dead_letters_per_sec"
  | "deliveries_per_sec"
  | "messages_per_sec"
  | "redeliveries_per_sec";

export interface Tile {
  readonly figure: string;
  readonly label: string;
  readonly values: readonly number[];
}

export interface Chart {
  readonly id: string;
  readonly title: string;
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
  },
  {
    id: "trouble",
    series: [
      { colour: "--warn", figure: "redeliveries_per_sec", label: "Delivered again" },
      { colour: "--bad", figure: "dead_letters_per_sec", label: "Dead letters" },
    ],
    title: "Failures per second",
  },
  {
    id: "backlog",
    series: [{ colour: "--info", figure: "backlog", label: "Not settled" }],
    title: "Backlog of durable subscriptions",
  },
];

export function tiles(stats: StatsAnswer, samples: readonly Sample[]): Tile[] {
  const of = (figure: Exclude<keyof Sample, "at">) => samples.map((sample) => sample[figure]);
  return [
    tile("Published / s", rate(stats.messages_per_sec), of("messages_per_sec")),
    tile("Delivered / s", rate(stats.deliveries_per_sec), of("deliveries_per_sec")),
    tile("Acked / s", rate(stats.acks_per_sec), of("acks_per_sec")),
    tile("Delivered again / s", rate(stats.redeliveries_per_sec), of("redeliveries_per_sec")),
    tile("Dead letters / s", rate(stats.dead_letters_per_sec), of("dead_letters_per_sec")),
    tile("Backlog", short(stats.backlog), of("backlog")),
    tile("Subscribers", short(stats.active_subscribers), of("active_subscribers")),
    tile("Topics", short(stats.active_topics), of("active_topics")),
    tile("Connections", short(stats.connections), []),
    tile("Nodes answering", stats.nodes ? short(stats.nodes.length) : "–", of("node_count")),
  ];
}

/** Columns for uPlot: seconds first, then each series. */
export function columns(chart: Chart, samples: readonly Sample[]): number[][] {
  const at = samples.map((sample) => Date.parse(sample.at) / 1_000);
  return [at, ...chart.series.map(({ figure }) => samples.map((sample) => sample[figure]))];
}

/** The same in a sentence, for who does not see the chart. */
export function summary(chart: Chart, samples: readonly Sample[]): string {
  const last = samples.at(-1);
  if (!last) return `${chart.title}: no samples yet.`;
  const parts = chart.series.map(({ figure, label }) => {
    const values = samples.map((sample) => sample[figure]);
    return `${label} now ${short(last[figure])}, at most ${short(Math.max(...values))}`;
  });
  return `${chart.title}: ${parts.join("; ")}.`;
}

export interface Step {
  readonly done: boolean;
  readonly title: string;
}

/** What is left to do where nothing is there yet; null once all was done. */
export function firstSteps(stats: StatsAnswer): Step[] | null {
  const steps = [
    { done: stats.active_topics > 0, title: "Create a topic" },
    { done: stats.active_subscribers > 0 || stats.total_deliveries > 0, title: "Subscribe to it" },
    { done: stats.total_messages > 0, title: "Publish a message" },
  ];
  return steps.every((step) => step.done) ? null : steps;
}

function tile(label: string, figure: string, values: readonly number[]): Tile {
  return { figure, label, values };
}
