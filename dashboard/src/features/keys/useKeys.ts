import { useEffect, useEffectEvent } from "react";
import { type Act, Keys, leadsTo, type Pressed } from "@/features/keys/model";
import { hasSingleKeys } from "@/features/keys/singleKeys";

// Which have their own use of keys.
const TYPING = "input, textarea, select, [contenteditable], [role=menu], [role=listbox]";

/** Calls `onAct` for what the keys mean; it says whether it has done it. Keys of dialogs are theirs. */
export function useKeys(onAct: (act: Act) => boolean): void {
  const act = useEffectEvent(onAct);
  useEffect(() => {
    const keys = new Keys();
    const onKey = (event: KeyboardEvent) => {
      const pressed = meant(event);
      const found = pressed && keys.press(pressed, event.timeStamp);
      if (found && act(found)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

/** The key, if it is meant for the page and not for what has the focus. */
function meant(event: KeyboardEvent): Pressed | null {
  const target = event.target instanceof Element ? event.target : null;
  if (event.defaultPrevented || document.querySelector("[role=dialog][data-open]")) return null;
  // Enter is the focused control's.
  if (event.key === "Enter" && target?.closest("a, button, summary")) return null;
  const isTyping = target?.closest(TYPING) != null || event.altKey;
  if (event.key === "Escape" && isTyping && target instanceof HTMLElement) {
    // A browser would clear a field of type search, and so bring back all rows.
    event.preventDefault();
    target.blur();
  }
  const withCommand = event.metaKey || event.ctrlKey;
  return withCommand || hasSingleKeys() ? { isTyping, key: event.key, withCommand } : null;
}

/** Moves the focus among the links of rows, `[data-row]`, and opens the one that has it. */
export function moveInRows(kind: "next" | "open" | "previous"): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
  const focused = rows.indexOf(document.activeElement as HTMLElement);
  // Beside the list the one is shown from which j and k go on; a link to what is shown says so as it likes.
  const at = focused < 0 ? rows.findIndex((row) => row.ariaCurrent) : focused;
  if (kind === "open") {
    rows[at]?.click();
    return at >= 0;
  }
  const next = at < 0 ? 0 : at + (kind === "next" ? 1 : -1);
  const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
  row?.focus();
  row?.scrollIntoView({ block: "nearest" });
  return row !== undefined;
}

// Until the list is there again, in frames: about two seconds.
const RETURN_FRAMES = 120;

/** Gives the focus to the row of what was shown at `left`, once its list is there; not if it has gone elsewhere meanwhile. */
export function focusRowOf(left: URL, frames = RETURN_FRAMES): void {
  if (isElsewhere(document.activeElement)) return;
  const links = document.querySelectorAll<HTMLAnchorElement>("main a[data-row]");
  const row = [...links].find(({ href }) => leadsTo(new URL(href), left));
  if (row) row.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusRowOf(left, frames - 1));
}

/** The way back itself has it until it is gone. */
function isElsewhere(focused: Element | null): boolean {
  const isInDetail = focused?.closest("main") && !focused.matches("[data-row], input");
  return focused !== null && focused !== document.body && !isInDetail;
}
