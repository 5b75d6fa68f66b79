import {
  infiniteQueryOptions,
  queryOptions,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { z } from "zod";
import { ApiError, asApiError } from "@/api/errors";
import { Exact } from "@/api/exact";
import { Headers } from "@/api/headers";
import { request } from "@/api/request";
import {
  DeadLetterAnswer,
  DeadLetterGroups,
  DeadLetterList,
  DeliveryAnswer,
  JobAnswer,
  JobList,
} from "@/api/schema";
import { currentPace } from "@/live/pace";
import { polledSlowly } from "@/services/polled";

const PAGE_COUNT = 100;
// Of each payload in a list, in characters.
const PREVIEW_CHARS = 200;
// Who has scrolled further looks for something: all that again and again would cost the server for nothing.
const POLLED_PAGES_COUNT = 2;
const LIST_MS = 5_000;
// A job moves on quickly, and is looked at by who has started it.
const JOB_MS = 500;
// Those of everybody: while one runs, and else.
const JOBS_RUNNING_MS = 2_000;
const JOBS_MS = 15_000;

const GONE: readonly string[] = ["dead_letter_not_found", "job_not_found"];

type Query = Readonly<Record<string, string | number | boolean>>;

const Kept = { headers: Headers.optional(), payload: Exact };
const Letter = DeadLetterAnswer.extend(Kept);
export type Letter = z.infer<typeof Letter>;
const Letters = DeadLetterList.extend({ dead_letters: z.array(Letter) });
type Letters = z.infer<typeof Letters>;
const Deliveries = z.object({ deliveries: z.array(DeliveryAnswer), next: z.string().nullable() });

const at = (id: string) => `/api/dlq/${encodeURIComponent(id)}`;
const jobAt = (id: string) => `/api/dlq/jobs/${encodeURIComponent(id)}`;

/** Those that match, the newest first, a page at a time. `key`: what makes it another list. */
export const lettersQuery = (key: object, which: () => object) =>
  infiniteQueryOptions({
    getNextPageParam: (page: Letters) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(Letters, "/api/dlq", {
        exactPayloads: PREVIEW_CHARS,
        query: { ...(which() as Query), cursor: pageParam, limit: PAGE_COUNT },
        signal,
      }),
    queryKey: ["deadLetters", "list", key],
    refetchInterval: ({ state }) => {
      const ms = currentPace();
      const pages = state.data?.pages.length ?? 0;
      return ms === null || pages > POLLED_PAGES_COUNT ? false : Math.max(ms, LIST_MS);
    },
  });

/** Those that match, counted by topic and reason. */
export const groupsQuery = (key: object, which: () => object) =>
  infiniteQueryOptions({
    getNextPageParam: (page: DeadLetterGroups) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(DeadLetterGroups, "/api/dlq/groups", {
        query: { ...(which() as Query), cursor: pageParam },
        signal,
      }),
    queryKey: ["deadLetters", "groups", key],
    ...polledSlowly(10_000),
  });

/** One, with all of its payload. */
export const letterQuery = (id: string) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(Letter, at(id), { exactPayloads: Number.POSITIVE_INFINITY, signal }),
    queryKey: ["deadLetters", "one", id],
    refetchInterval: ({ state }) =>
      isGone(state.error) ? false : polledSlowly(LIST_MS).refetchInterval(),
  });

/** What became of its message in each durable subscription. */
export const deliveriesQuery = (messageId: string) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(Deliveries, `/api/messages/${encodeURIComponent(messageId)}`, { signal }),
    queryKey: ["deadLetters", "deliveries", messageId],
    refetchInterval: polledSlowly(LIST_MS).refetchInterval,
    retry: false,
  });

/** That what was asked for is not there, and will not be there again. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && GONE.includes(error.code);
}

/** A job; asked for again as long as it runs. */
export const jobQuery = (id: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(JobAnswer, jobAt(id), { signal }),
    queryKey: ["jobs", id],
    refetchInterval: ({ state: { data, error } }) => {
      if (data) return data.state === "running" && !isGone(error) ? JOB_MS : false;
      return error && asApiError(error).isTransient ? LIST_MS : false;
    },
    retry: false,
  });

/** Those of everybody, at all nodes. */
export const jobsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(JobList, "/api/dlq/jobs", { signal }),
    queryKey: ["jobs", "list"],
    refetchInterval: ({ state }) => {
      const ms = currentPace();
      const isRunning = state.data?.jobs.some((job) => job.state === "running");
      return ms === null ? false : Math.max(ms, isRunning ? JOBS_RUNNING_MS : JOBS_MS);
    },
  });

export const redriveOne = (id: string) =>
  request(z.unknown(), `${at(id)}/redrive`, { method: "POST" });

export const discardOne = (id: string) => request(z.undefined(), at(id), { method: "DELETE" });

export interface JobLimits {
  readonly max_count: number;
  readonly rate_per_s: number;
}

type Act = "discard" | "redrive";

/** How many that would be; the same body without `dry_run` starts the job. */
export const planJob = (act: Act, meant: object, signal?: AbortSignal) =>
  request(JobAnswer, `/api/dlq/${act}`, {
    body: { ...meant, dry_run: true },
    method: "POST",
    signal,
  });

/** `until`: when they were counted, so that what has died since then is not among them. */
export const startJob = (act: Act, meant: object, limits: JobLimits, until: string | null) =>
  request(JobAnswer, `/api/dlq/${act}`, {
    body: {
      ...meant,
      // Those that were chosen one by one are these in any case.
      ...(until !== null && !("ids" in meant) && { to_time: until }),
      ...limits,
    },
    method: "POST",
  });

export function useCancelJob(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(JobAnswer, jobAt(id), { method: "DELETE" }),
    onSettled: () => client.invalidateQueries({ queryKey: ["jobs"] }),
  });
}

/** After one was started: it is in the list of all at once. */
export function useJobsChanged(): () => void {
  const client = useQueryClient();
  return () => void client.invalidateQueries({ queryKey: ["jobs", "list"] });
}

/** After something was redriven or discarded: all that shows it is asked for again. */
export function useLettersChanged(): () => void {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: ["deadLetters"] });
    void client.invalidateQueries({ queryKey: ["subscriptions"] });
    void client.invalidateQueries({ queryKey: ["jobs", "list"] });
  };
}
