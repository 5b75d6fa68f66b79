import { X } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "@/components/Button";
import { Failure } from "@/components/states";
import { close, useNotices } from "@/services/notices";

// How long it is said that something was done; who points at it reads it longer.
const SAID_MS = 8_000;

/** What came of acts, in a corner of every page: what was done for a while, what was not until it is closed. */
export function Notices() {
  const notices = useNotices();
  return (
    <div
      aria-live="polite"
      className="pointer-events-none fixed inset-x-4 bottom-4 z-[80] flex flex-col items-end gap-2"
    >
      {notices.map(({ error, id, text }) =>
        error === null ? (
          <Done id={id} key={id} text={text} />
        ) : (
          <div className="pointer-events-auto max-w-md shadow-xl" key={id}>
            <Failure error={error} onClose={() => close(id)} what={text} />
          </div>
        ),
      )}
    </div>
  );
}

function Done({ id, text }: { readonly id: number; readonly text: string }) {
  const [isHeld, hold] = useState(false);
  useEffect(() => {
    if (isHeld) return;
    const timer = setTimeout(() => close(id), SAID_MS);
    return () => clearTimeout(timer);
  }, [id, isHeld]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it is only not closed while somebody reads it
    <div
      className="pointer-events-auto flex max-w-md items-start gap-2 rounded-lg border border-edge bg-surface py-2 pr-2 pl-4 shadow-xl"
      onBlur={() => hold(false)}
      onFocus={() => hold(true)}
      onPointerEnter={() => hold(true)}
      onPointerLeave={() => hold(false)}
    >
      <p className="min-w-0 break-words py-1">{text}</p>
      <Button
        aria-label="Close what is said"
        className="px-2"
        look="quiet"
        onClick={() => close(id)}
      >
        <X aria-hidden className="size-4" />
      </Button>
    </div>
  );
}
