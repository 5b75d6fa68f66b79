interface SparklineProps {
  /** Null where nothing was measured: the line goes on from what is known. */
  readonly values: readonly (number | null)[];
}

const WIDTH = 100;
const HEIGHT = 24;

/** The shape of a series and nothing more; the figure beside it says what it is. */
export function Sparkline({ values: given }: SparklineProps) {
  const values = given.filter((value) => value !== null);
  if (values.length < 2) return <div aria-hidden className="h-6" />;
  return (
    <svg
      aria-hidden="true"
      className="h-6 w-full text-accent"
      preserveAspectRatio="none"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
    >
      <path
        d={path(values)}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}

export function path(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  const step = WIDTH / Math.max(values.length - 1, 1);
  const points = values.map((value, at) => {
    const height = most === 0 ? 0 : (value / most) * (HEIGHT - 2);
    return `${(at * step).toFixed(1)},${(HEIGHT - 1 - height).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}
