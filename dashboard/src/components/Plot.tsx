import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { isAlone } from "@/components/alone";
import { onColourChange } from "@/features/theme/theme";

export interface PlotSeries {
  /** A variable of the style sheet. */
  readonly colour: string;
  readonly label: string;
}

interface PlotProps {
  /** Seconds since 1970 first, then one column for each series. */
  readonly columns: (number | null)[][];
  /** Called with the part of the time that was marked with the mouse, in seconds since 1970. */
  readonly onMark: (from: number, to: number) => void;
  readonly onUnmark: () => void;
  readonly series: readonly PlotSeries[];
  /** What the chart says, for who does not see it. */
  readonly summary: string;
  /** How values are told at the axis. */
  readonly told: (value: number) => string;
  /** What the axis of time shows. */
  readonly from: number;
  readonly to: number;
}

const HEIGHT_PX = 180;
// As times are told elsewhere: to the second where the range is so short, and the day where it changes.
const TIMES: uPlot.Axis.Values = [
  [86_400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
];
const POINT_PX = 6;
// What is narrower was a click.
const MARK_LEAST_PX = 6;
// Charts of one page show the same moment.
const SYNC_KEY = "conduit";

export function Plot(props: PlotProps) {
  const { columns, from, series, summary, to } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element, series, latest),
        latest.current.columns as uPlot.AlignedData,
        element,
      );
    };
    const sized = new ResizeObserver(() =>
      plot.current?.setSize({ height: HEIGHT_PX, width: element.clientWidth }),
    );
    draw();
    sized.observe(element);
    const unsubscribe = onColourChange(draw);
    return () => {
      unsubscribe();
      sized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [series]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the scale asks for these when it is drawn
  useEffect(() => {
    plot.current?.setData(columns as uPlot.AlignedData);
  }, [columns, from, to]);

  return <div aria-label={summary} className="min-w-0" ref={holder} role="img" />;
}

function options(
  element: HTMLElement,
  series: readonly PlotSeries[],
  latest: { readonly current: PlotProps },
): uPlot.Options {
  const ink = colour(element, "--dim");
  const line = colour(element, "--line");
  const axis = {
    font: "11px system-ui",
    grid: { stroke: line, width: 1 },
    stroke: ink,
    ticks: { show: false },
  };
  return {
    axes: [
      { ...axis, space: 70, values: TIMES },
      {
        ...axis,
        size: 56,
        values: (_, splits) => splits.map((value) => latest.current.told(value)),
      },
    ],
    cursor: {
      bind: {
        dblclick: () => () => {
          latest.current.onUnmark();
          return null;
        },
      },
      drag: { setScale: false, x: true, y: false },
      sync: { key: SYNC_KEY, setSeries: false },
    },
    height: HEIGHT_PX,
    legend: { show: false },
    hooks: { setSelect: [(plot) => marked(plot, latest.current)] },
    scales: {
      x: { range: () => [latest.current.from, latest.current.to] },
      y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] },
    },
    series: [
      {},
      ...series.map(({ colour: name, label }) => {
        const stroke = colour(element, name);
        return {
          label,
          points: { fill: stroke, show: isAloneIn, size: POINT_PX },
          spanGaps: true,
          stroke,
          width: 1.75,
        };
      }),
    ],
    width: element.clientWidth,
  };
}

/** Of one value there is no line, only its point. */
function isAloneIn(plot: uPlot, at: number): boolean {
  return isAlone(plot.data[at] ?? []);
}

/** Tells of a mark once, by the chart in which it was made. */
function marked(plot: uPlot, { onMark }: PlotProps): void {
  const { left, width } = plot.select;
  // Charts that only follow another one's cursor have no mouse in them.
  if (width < MARK_LEAST_PX || !plot.root.matches(":hover")) return;
  onMark(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  plot.setSelect({ height: 0, left: 0, top: 0, width: 0 }, false);
}

/** What a variable of the style sheet is in this theme. */
function colour(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
