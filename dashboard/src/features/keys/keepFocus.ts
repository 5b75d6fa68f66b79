// Where the focus goes when what had it is gone: a browser would give it to nothing, and a keyboard begin at the top.

const ROW = "main [data-row]";
// In frames: a dialog that closes gives it back by itself first.
const PATIENCE_FRAMES = 3;

/** Until what is returned is called, the focus that was lost goes to what is nearest of what is still there: around
 * what had it, the dialog that is open, or around the row that had it last; at worst to the heading of the page. */
export function keepFocus(): () => void {
  let path: Element[] = [];
  let rowPath: Element[] = [];
  const onFocus = ({ target }: FocusEvent) => {
    if (!(target instanceof Element)) return;
    path = upFrom(target);
    if (target.matches(ROW)) rowPath = path;
  };
  const onBlur = ({ relatedTarget, target }: FocusEvent) => {
    // Whoever leaves it for nothing wanted that: it was not taken from him.
    const left = path;
    if (relatedTarget !== null || !(target instanceof Element)) return;
    queueMicrotask(() => {
      if (path === left && isLost() && target.isConnected) path = [];
    });
  };
  const mend = (frames: number) => {
    if (!isLost()) return;
    if (frames > 0) requestAnimationFrame(() => mend(frames - 1));
    else (near(path) ?? dialog() ?? near(rowPath) ?? heading())?.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(() => {
    if (path[0]?.isConnected === false && isLost()) mend(PATIENCE_FRAMES);
  });
  document.addEventListener("focusin", onFocus);
  document.addEventListener("focusout", onBlur);
  observer.observe(document.body, { childList: true, subtree: true });
  return () => {
    document.removeEventListener("focusin", onFocus);
    document.removeEventListener("focusout", onBlur);
    observer.disconnect();
  };
}

function isLost(): boolean {
  const focused = document.activeElement;
  return focused === null || focused === document.body || !focused.isConnected;
}

// What is behind one that is open is not for the keyboard.
const dialog = () => [...document.querySelectorAll<HTMLElement>("[role=dialog][tabindex]")].at(-1);

const heading = () =>
  document.querySelector<HTMLElement>("main h1") ?? document.querySelector<HTMLElement>("main");

/** What can have the focus, of an element and what is around it; the page as a whole says less than its heading. */
function near(path: readonly Element[]): HTMLElement | undefined {
  const found = path.find(
    (each) => each.isConnected && each.matches(`[tabindex]:not(main), ${ROW}`),
  );
  return found instanceof HTMLElement ? found : undefined;
}

function upFrom(element: Element): Element[] {
  const path: Element[] = [];
  for (let each: Element | null = element; each; each = each.parentElement) path.push(each);
  return path;
}
