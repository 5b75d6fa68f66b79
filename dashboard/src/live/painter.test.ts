import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Painter } from "@/live/painter";

let drawnAt: number[] = [];
let drawMs = 0;
let painter: Painter;

beforeEach(() => {
  vi.useFakeTimers();
  drawnAt = [];
  drawMs = 0;
  painter = new Painter(() => {
    drawnAt.push(performance.now());
    if (drawMs > 0) vi.advanceTimersByTime(drawMs);
  });
});

afterEach(() => vi.useRealTimers());

/** Something changes every millisecond. */
function changing(ms: number): number {
  const before = drawnAt.length;
  const until = performance.now() + ms;
  while (performance.now() < until) {
    painter.soon();
    vi.advanceTimersByTime(1);
  }
  return drawnAt.length - before;
}

it("draws ten times a second, however much changes", () => {
  expect(changing(10_000)).toBeGreaterThan(80);
  expect(changing(10_000)).toBeLessThanOrEqual(100);
});

it("draws less often what is much work, and as often as before when it is little again", () => {
  drawMs = 100;
  changing(2_000);
  expect(changing(10_000)).toBeLessThanOrEqual(25);
  drawMs = 0;
  changing(2_000);
  expect(changing(10_000)).toBeGreaterThan(80);
});

it("draws at once when it is told to, and not what waited for it", () => {
  painter.now();
  painter.soon();
  painter.now();
  expect(drawnAt).toHaveLength(2);
  vi.advanceTimersByTime(1_000);
  expect(drawnAt).toHaveLength(2);
});
