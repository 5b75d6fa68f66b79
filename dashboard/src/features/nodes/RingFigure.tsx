import type { RingAnswer } from "@/api/schema";
import { lookOf } from "@/features/nodes/looks";
import { type Arc, at, path, places, shares } from "@/features/nodes/model";

interface RingFigureProps {
  /** By the index of a node in the ring: what it is called here, and has its look by. */
  readonly numbers: readonly number[];
  readonly ring: RingAnswer;
}

const SHARES_RADIUS = 62;
const PLACES_RADIUS = 88;
// Of the circle between two shares.
const GAP = 0.003;
// A share that is smaller has no room for its number.
const NUMBERED_SHARE = 0.03;

/** The hash ring: outside each place of each node, inside how much each has of all. The table beside it says the
 * same. */
export function RingFigure({ numbers, ring }: RingFigureProps) {
  const numbered = (arc: Arc): Arc => ({ ...arc, node: numbers[arc.node] ?? arc.node });
  const said = ring.nodes.map(({ id, share }) => `${id} ${(share * 100).toFixed(1)} %`).join(", ");
  return (
    <figure className="mx-auto w-full max-w-80">
      <svg aria-label={`The ring: ${said}`} role="img" viewBox="-100 -100 200 200">
        {places(ring)
          .map(numbered)
          .map((arc) => (
            <Line arc={arc} key={`${arc.from}`} radius={PLACES_RADIUS} width={10} />
          ))}
        {shares(ring)
          .map(numbered)
          .map((arc) => (
            <g key={arc.node}>
              <Line
                arc={{ ...arc, from: arc.from + GAP, to: Math.max(arc.from + GAP, arc.to - GAP) }}
                radius={SHARES_RADIUS}
                width={26}
              />
              {arc.to - arc.from >= NUMBERED_SHARE && <Label arc={arc} />}
            </g>
          ))}
        <text className="fill-ink text-[0.6rem]" dominantBaseline="central" textAnchor="middle">
          {ring.places.length} places
        </text>
      </svg>
    </figure>
  );
}

interface LineProps {
  readonly arc: Arc;
  readonly radius: number;
  readonly width: number;
}

function Line({ arc, radius, width }: LineProps) {
  return <Stroke d={path(arc, radius)} node={arc.node} width={width} />;
}

/** A line in the look of a node: its colour, and in the middle its pattern. */
function Stroke({
  d,
  node,
  width,
}: {
  readonly d: string;
  readonly node: number;
  readonly width: number;
}) {
  const { colour, dashes } = lookOf(node);
  return (
    <>
      <path className={colour} d={d} fill="none" stroke="currentColor" strokeWidth={width} />
      {dashes && (
        <path
          className="stroke-surface"
          d={d}
          fill="none"
          strokeDasharray={dashes}
          strokeWidth={width / 5}
        />
      )}
    </>
  );
}

/** The same beside its name, in a table. */
export function Swatch({ node }: { readonly node: number }) {
  return (
    <svg aria-hidden className="h-3 w-8 shrink-0" viewBox="0 0 32 12">
      <Stroke d="M0 6H32" node={node} width={10} />
    </svg>
  );
}

function Label({ arc }: { readonly arc: Arc }) {
  const [x, y] = at((arc.from + arc.to) / 2, SHARES_RADIUS).split(" ");
  return (
    <>
      <circle className="fill-surface" cx={x} cy={y} r="8" />
      <text
        className="fill-ink font-semibold text-[0.6rem]"
        dominantBaseline="central"
        textAnchor="middle"
        x={x}
        y={y}
      >
        {arc.node + 1}
      </text>
    </>
  );
}
