// Draws what has changed at most once in a frame of the browser, and not more often than anybody can read.

const LEAST_MS = 100;

export class Painter {
  #frame: number | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly draw: () => void) {}

  /** Draw soon. In a tab that is not seen this is when it is seen again. */
  soon(): void {
    if (this.#frame !== null || this.#timer !== null) return;
    const left = LEAST_MS - (performance.now() - this.#drawnAt);
    if (left <= 0) this.#next();
    else this.#timer = setTimeout(() => this.#next(), left);
  }

  /** Draw before anything else happens. */
  now(): void {
    this.cancel();
    this.#drawnAt = performance.now();
    this.draw();
  }

  cancel(): void {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#frame = null;
    this.#timer = null;
  }

  #next(): void {
    this.#timer = null;
    this.#frame = requestAnimationFrame(() => this.now());
  }
}
