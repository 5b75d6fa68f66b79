// Draws what has changed at most once in a frame of the browser, not more often than anybody can read, and less often
// where that is much work: a page that only draws answers nobody.

const LEAST_MS = 100;
const MOST_MS = 1_000;
/** Of the time, one in so many parts may be drawn in. */
const PARTS = 4;

export class Painter {
  #frame: number | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #costMs = 0;

  constructor(private readonly draw: () => void) {}

  /** Draw soon. In a tab that is not seen this is when it is seen again. */
  soon(): void {
    if (this.#frame !== null || this.#timer !== null) return;
    const everyMs = Math.min(MOST_MS, Math.max(LEAST_MS, PARTS * this.#costMs));
    const left = everyMs - (performance.now() - this.#drawnAt);
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
    this.#frame = requestAnimationFrame(() => {
      this.now();
      const began = this.#drawnAt;
      // The next frame comes once this one is on the screen.
      requestAnimationFrame(() => {
        this.#costMs = performance.now() - began;
      });
    });
  }
}
