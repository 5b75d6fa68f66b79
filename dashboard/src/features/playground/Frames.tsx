import { ArrowDown, ArrowUp } from "lucide-react";
import { clock } from "@/components/times";
import type { Travelled } from "@/features/playground/session";

/** What travels over the connection, the newest first. */
export function Frames({ frames }: { readonly frames: readonly Travelled[] }) {
  return (
    <details className="rounded-lg border border-line bg-surface">
      <summary className="cursor-pointer px-4 py-2.5 font-medium">
        Frames as they travel ({frames.length})
      </summary>
      <section
        aria-label="Frames"
        className="max-h-72 overflow-auto border-line border-t"
        tabIndex={0}
      >
        <ol>
          {frames.map(({ at, isOut, number, text }) => (
            <li
              className="flex gap-2 border-line border-b px-3 py-1 font-mono text-xs"
              key={number}
            >
              {isOut ? (
                <ArrowUp
                  aria-label="sent"
                  className="mt-0.5 size-3.5 shrink-0 text-info"
                  role="img"
                />
              ) : (
                <ArrowDown
                  aria-label="received"
                  className="mt-0.5 size-3.5 shrink-0 text-ok"
                  role="img"
                />
              )}
              <span className="shrink-0 text-dim tabular-nums">{clock(at, Date.now())}</span>
              <code className="min-w-0 break-all">{text}</code>
            </li>
          ))}
        </ol>
      </section>
    </details>
  );
}
