// Numbers, sizes and durations for people; moments are in times.ts.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const STEPS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

export function count(value: number): string {
  return WHOLE.format(value);
}

/** `1 key`, `2 keys`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** At most five characters, for tiles and axes. */
export function short(value: number): string {
  if (Math.abs(value) < 10 && !Number.isInteger(value)) return value.toFixed(1);
  return Math.abs(value) < 10_000 ? WHOLE.format(value) : SHORT.format(value);
}

export function rate(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond < 0.1) return "<0.1";
  return perSecond < 100 ? perSecond.toFixed(1) : short(perSecond);
}

/** A time that was measured, in milliseconds: `0.42 ms`, `12 ms`, `3.4 s`. */
export function latency(ms: number): string {
  if (ms === 0) return "0";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1_000;
  return seconds < 100 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

export function bytes(value: number): string {
  let unit = 0;
  let amount = value;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit === 0 || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1)} ${UNITS[unit]}`;
}

/** The largest unit alone, which is what one needs to know: `3 h`. */
export function duration(seconds: number): string {
  for (const [unit, size] of STEPS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return "0 s";
}

/** A duration that can be set, exactly: `7 d`, `90 s`. */
export function exactDuration(seconds: number): string {
  for (const [unit, size] of STEPS) {
    if (seconds >= size && seconds % size === 0) return `${count(seconds / size)} ${unit}`;
  }
  return `${count(seconds)} s`;
}
