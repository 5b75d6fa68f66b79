import { infiniteQueryOptions, queryOptions, useQueryClient } from "@tanstack/react-query";
import { z } from "zod";
import { ApiError, asApiError } from "@/api/errors";
import { Exact } from "@/api/exact";
import { Headers } from "@/api/headers";
import { request } from "@/api/request";
import {
  DeadLetterAnswer,
  DeadLetterGroups,
  DeadLetterList,
  JobAnswer,
  JobList,
} from "@/api/schema";
import { useAct } from "@/services/act";
import { dated, followedEvery, polledPages, polledSlowly } from "@/services/polled";

const PAGE_COUNT = 100;
// Of each payload in a list, in characters.
const PREVIEW_CHARS = 200;
const POLLED_PAGES_COUNT = 2;
const LIST_MS = 5_000;
// A job moves on quickly, and is looked at by who has started it.
const JOB_MS = 500;
// Those of everybody: while one runs, and else.
const JOBS_RUNNING_MS = 2_000;
const JOBS_MS = 15_000;

const GONE: readonly string[] = ["dead_letter_not_found", "job_not_found"];

// What shows them, or counts them.
const LETTERS = [["deadLetters"], ["subscriptions"], ["jobs", "list"]];

type Query = Readonly<Record<string, string | number | boolean>>;

const Kept = { headers: Headers.optional(), payload: Exact };
const Letter = DeadLetterAnswer.extend(Kept);
export type Letter = z.infer<typeof Letter>;
const Letters = DeadLetterList.extend({ dead_letters: z.array(Letter) });
type Letters = z.infer<typeof Letters>;

const at = (id: string) => `/api/dlq/${encodeURIComponent(id)}`;
const jobAt = (id: string) => `/api/dlq/jobs/${encodeURIComponent(id)}`;

/** Those that match, the newest first, a page at a time. `key`: what makes it another list. */
export const lettersQuery = (key: object, which: () => object) =>
  infiniteQueryOptions({
    getNextPageParam: (page: Letters) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      dated(
        request(Letters, "/api/dlq", {
          exactPayloads: PREVIEW_CHARS,
          query: { ...(which() as Query), cursor: pageParam, limit: PAGE_COUNT },
          signal,
        }),
      ),
    queryKey: ["deadLetters", "list", key],
    ...polledPages(LIST_MS, POLLED_PAGES_COUNT),
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
    refetchInterval: (asked) =>
      !isGone(asked.state.error) && polledSlowly(LIST_MS).refetchInterval(asked),
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
      if (data) {
        const isOver = isGone(error) || data.state !== "running";
        return isOver ? false : followedEvery(error ? LIST_MS : JOB_MS, error);
      }
      return error && asApiError(error).isTransient ? followedEvery(LIST_MS, error) : false;
    },
    retry: false,
  });

/** Those of everybody, at all nodes. */
export const jobsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(JobList, "/api/dlq/jobs", { signal }),
    queryKey: ["jobs", "list"],
    refetchInterval: (asked) => {
      const isRunning = asked.state.data?.jobs.some((job) => job.state === "running");
      return polledSlowly(isRunning ? JOBS_RUNNING_MS : JOBS_MS).refetchInterval(asked);
    },
  });

export const useOne = (act: Act, id: string) =>
  useAct(
    (ask) =>
      act === "redrive"
        ? ask(z.unknown(), `${at(id)}/redrive`, { method: "POST" })
        : ask(z.undefined(), at(id), { method: "DELETE" }),
    { touches: LETTERS },
  );

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
export const useStartJob = (act: Act, meant: object, until: string | null) =>
  useAct(
    (ask, limits: JobLimits) =>
      ask(JobAnswer, `/api/dlq/${act}`, {
        body: {
          ...meant,
          // Those that were chosen one by one are these in any case.
          ...(until !== null && !("ids" in meant) && { to_time: until }),
          ...limits,
        },
        method: "POST",
      }),
    { touches: LETTERS },
  );

export const useCancelJob = (id: string) =>
  useAct((ask) => ask(JobAnswer, jobAt(id), { method: "DELETE" }), { touches: [["jobs"]] });

/** After something was redriven or discarded: all that shows it is asked for again. */
export function useLettersChanged(): () => void {
  const client = useQueryClient();
  return () => {
    for (const queryKey of LETTERS) void client.invalidateQueries({ queryKey });
  };
}
