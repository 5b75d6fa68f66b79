import { QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, heededMs } from "@/api/errors";
import { holdPace, setPace } from "@/live/pace";
import { createQueryClient, mayRetry, retryMs } from "@/services/client";
import { followedEvery, polled, polledPages, polledSlowly } from "@/services/polled";

const told = (retryAfterS: number | null) =>
  new ApiError(503, "store_unavailable", "the disk is full", null, null, retryAfterS);
const asked = (error: Error | null, pages = 1) => ({
  state: { data: { pages: Array(pages).fill(0) }, error },
});

afterEach(() => setPace(2_000));

describe("a time that the server has named", () => {
  it("is heeded where it is longer than usual, and no timer ends before it", () => {
    expect(heededMs(2_000, null)).toBe(2_000);
    expect(heededMs(2_000, told(null))).toBe(2_000);
    expect(heededMs(2_000, told(1))).toBe(2_000);
    expect(heededMs(2_000, told(30))).toBe(30_000);
    expect(heededMs(2_000, told(Number.POSITIVE_INFINITY))).toBe(600_000);
  });

  it("is when it is polled again, and tried again", () => {
    for (const { refetchInterval } of [polled, polledSlowly(5_000), polledPages(5_000, 3)]) {
      expect(refetchInterval(asked(told(30)))).toBe(30_000);
    }
    expect(retryMs(0, told(4))).toBe(4_000);
    expect(mayRetry(0, told(4))).toBe(true);
    expect(mayRetry(0, told(30))).toBe(false);
    expect([0, 1, 2].map((failures) => mayRetry(failures, told(null)))).toEqual([
      true,
      true,
      false,
    ]);
    expect(mayRetry(0, new ApiError(500, "internal", "no"))).toBe(false);
  });
});

describe("what changes by itself", () => {
  it("is asked for at the pace, no more often than it may, and not by who has gone further", () => {
    expect(polled.refetchInterval(asked(null))).toBe(2_000);
    expect(polledSlowly(5_000).refetchInterval(asked(null))).toBe(5_000);
    expect(polledPages(5_000, 3).refetchInterval(asked(null, 3))).toBe(5_000);
    expect(polledPages(5_000, 3).refetchInterval(asked(null, 4))).toBe(false);
    setPace(null);
    expect(polled.refetchInterval(asked(null))).toBe(false);
  });

  it("is asked for by who waits for it as often when pages are paused, and by nobody who is nobody", () => {
    setPace(null);
    expect(followedEvery(500, null)).toBe(500);
    expect(followedEvery(500, told(30))).toBe(30_000);
    holdPace(true);
    expect(followedEvery(500, null)).toBe(false);
    holdPace(false);
    expect(followedEvery(500, null)).toBe(500);
  });

  describe("while a page shows it", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it("stops when the pace is paused, goes on with it, and heeds no browser that takes itself for offline", async () => {
      const client = createQueryClient();
      const queryFn = vi.fn(async () => 1);
      const stop = new QueryObserver(client, { ...polled, queryFn, queryKey: ["x"] }).subscribe(
        () => undefined,
      );
      await vi.advanceTimersByTimeAsync(2_100);
      expect(queryFn).toHaveBeenCalledTimes(2);
      setPace(null);
      await vi.advanceTimersByTimeAsync(20_000);
      expect(queryFn).toHaveBeenCalledTimes(2);
      window.dispatchEvent(new Event("offline"));
      setPace(2_000);
      await vi.advanceTimersByTimeAsync(4_100);
      expect(queryFn).toHaveBeenCalledTimes(4);
      window.dispatchEvent(new Event("online"));
      stop();
    });
  });
});
