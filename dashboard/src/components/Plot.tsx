import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { short } from "@/components/format";
import { onColourChange } from "@/features/theme/theme";

export interface PlotSeries {
  /** A variable of the style sheet. */
  readonly colour: string;
  readonly label: string;
}

interface PlotProps {
  /** Seconds since 1970 first, then one column for each series. */
  readonly columns: number[][];
  readonly series: readonly PlotSeries[];
  /** What the chart says, for who does not see it. */
  readonly summary: string;
}

const HEIGHT_PX = 180;
// Charts of one page show the same moment.
const SYNC_KEY = "conduit";

export function Plot({ columns, series, summary }: PlotProps) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(columns);
  latest.current = columns;

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element, series),
        latest.current as uPlot.AlignedData,
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

  useEffect(() => {
    plot.current?.setData(columns as uPlot.AlignedData);
  }, [columns]);

  return <div aria-label={summary} className="min-w-0" ref={holder} role="img" />;
}

function options(element: HTMLElement, series: readonly PlotSeries[]): uPlot.Options {
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
      { ...axis, space: 70 },
      { ...axis, size: 46, values: (_, splits) => splits.map((value) => short(value)) },
    ],
    cursor: { sync: { key: SYNC_KEY } },
    height: HEIGHT_PX,
    legend: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
    series: [
      {},
      ...series.map(({ colour: name, label }) => ({
        label,
        points: { show: false },
        stroke: colour(element, name),
        width: 1.75,
      })),
    ],
    width: element.clientWidth,
  };
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
