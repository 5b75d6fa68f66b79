import { QueryObserver } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { setPace } from "@/live/pace";
import { createQueryClient } from "@/services/client";
import { polled } from "@/services/polled";

afterEach(() => {
  setPace(2_000);
  vi.useRealTimers();
});

it("asks nothing any more from the moment in which pages are paused, and goes on after it", async () => {
  vi.useFakeTimers();
  const client = createQueryClient();
  let asked = 0;
  const queryFn = () => Promise.resolve(++asked);
  const observer = new QueryObserver(client, {
    queryFn,
    queryKey: ["x"],
    refetchInterval: polled.refetchInterval,
  });
  const leave = observer.subscribe(() => undefined);
  await vi.advanceTimersByTimeAsync(4_500);
  expect(asked).toBe(3);
  setPace(null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(3);
  setPace(2_000);
  await vi.advanceTimersByTimeAsync(2_500);
  expect(asked).toBe(4);
  leave();
});

it("looks at who asks again at once when something is forbidden, and not each time it is", async () => {
  vi.useFakeTimers();
  const client = createQueryClient();
  const looks = vi.spyOn(client, "invalidateQueries");
  const refused = (code: string) =>
    client
      .fetchQuery({
        gcTime: 0,
        queryFn: () => Promise.reject(new ApiError(403, code, "")),
        queryKey: ["x", code],
      })
      .catch(() => undefined);
  await refused("topic_limit");
  expect(looks).not.toHaveBeenCalled();
  await refused("forbidden");
  expect(looks).toHaveBeenCalledExactlyOnceWith({ queryKey: ["whoami"] }, { cancelRefetch: false });
  await refused("forbidden");
  expect(looks).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(10_000);
  await refused("forbidden");
  expect(looks).toHaveBeenCalledTimes(2);
});
