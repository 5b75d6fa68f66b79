import type { RingAnswer } from "@/api/schema";
import { at, path, places, shares } from "@/features/nodes/model";

interface RingFigureProps {
  readonly ring: RingAnswer;
}

// Told apart by number and place too: colour alone says nothing to some.
export const COLOURS = ["text-info", "text-accent", "text-warn", "text-other", "text-ok"] as const;
const SHARES_RADIUS = 62;
const PLACES_RADIUS = 88;
// Of the circle between two shares.
const GAP = 0.003;
// A share that is smaller has no room for its number.
const NUMBERED_SHARE = 0.03;

export const colour = (node: number) => COLOURS[node % COLOURS.length];

/** The hash ring: outside each place of each node, inside how much each has of all. The table beside it says the
 * same. */
export function RingFigure({ ring }: RingFigureProps) {
  const said = ring.nodes.map(({ id, share }) => `${id} ${(share * 100).toFixed(1)} %`).join(", ");
  return (
    <figure className="mx-auto w-full max-w-80">
      <svg aria-label={`The ring: ${said}`} role="img" viewBox="-100 -100 200 200">
        {places(ring).map((arc) => (
          <path
            className={colour(arc.node)}
            d={path(arc, PLACES_RADIUS)}
            fill="none"
            key={`${arc.from}`}
            stroke="currentColor"
            strokeWidth="10"
          />
        ))}
        {shares(ring).map((arc) => (
          <g className={colour(arc.node)} key={arc.node}>
            <path
              d={path(
                { ...arc, from: arc.from + GAP, to: Math.max(arc.from + GAP, arc.to - GAP) },
                SHARES_RADIUS,
              )}
              fill="none"
              stroke="currentColor"
              strokeWidth="26"
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

function Label({ arc }: { readonly arc: { from: number; node: number; to: number } }) {
  const [x, y] = at((arc.from + arc.to) / 2, SHARES_RADIUS).split(" ");
  return (
    <text
      className="fill-canvas font-semibold text-[0.7rem]"
      dominantBaseline="central"
      textAnchor="middle"
      x={x}
      y={y}
    >
      {arc.node + 1}
    </text>
  );
}
