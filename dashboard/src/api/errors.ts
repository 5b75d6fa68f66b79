// Every way in which asking the server can fail, as one type that says what a person needs to know.

import "@/api/withoutEval";

import { z } from "zod";

// What the server answers errors with (RFC 9457); a proxy between may answer anything.
const Told = z.object({
  code: z.string(),
  detail: z.string(),
  field: z.string().nullish(),
  limit: z.string().nullish(),
  request_id: z.string(),
});

export class ApiError extends Error {
  override name = "ApiError";
  /** Nothing was asked but how things are. */
  isOfLook = false;

  constructor(
    /** HTTP's, or 0 if there was no answer. */
    readonly status: number,
    /** Stable: of the server, or `unreachable`, `unexpected_answer`, `timeout`, `caller_changed`, `another_by_now`,
     * `session_not_kept`, `code_missing`. */
    readonly code: string,
    detail: string,
    readonly requestId: string | null = null,
    readonly field: string | null = null,
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }

  /** Whether the same may succeed a moment later, with nothing changed. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }

  /** Whether what was to be changed may be changed all the same: no server has said that it is not. */
  get isOutcomeUnknown(): boolean {
    if (this.isOfLook) return false;
    if (this.status === 0) return this.code === "unreachable" || this.code === "timeout";
    if (this.code === "outcome_unknown" || this.code === "internal") return true;
    return this.code === "unexpected_answer" && (this.status < 400 || this.status >= 500);
  }
}

export function problemOf(status: number, text: string, headers: Headers): ApiError {
  const after = Number(headers.get("retry-after") ?? "");
  const retryAfterS = after > 0 ? after : null;
  const told = Told.safeParse(parsed(text));
  const requestId = headers.get("x-request-id");
  if (!told.success) {
    const detail = `the answer was HTTP ${status}, and not the server's own: a proxy may have made it`;
    return new ApiError(status, "unexpected_answer", detail, requestId, null, retryAfterS);
  }
  const { code, detail, field, request_id } = told.data;
  return new ApiError(status, code, detail, request_id, field ?? null, retryAfterS);
}

export function unreachable(cause: unknown): ApiError {
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return new ApiError(0, "timeout", "the server has not answered in time");
  }
  return new ApiError(0, "unreachable", "the server cannot be reached");
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiError(0, "page_error", `the page made an error: ${detail}`);
}

// A proxy may name any time; a browser's timers end at 2^31 ms, and fire at once beyond.
const AFTER_MAX_MS = 600_000;

/** How long to wait in ms before the same is asked again: as long as usual, or, where the server has named a longer
 * time, that. */
export function heededMs(usualMs: number, error: unknown): number {
  const afterMs = error ? (asApiError(error).retryAfterS ?? 0) * 1_000 : 0;
  return Math.max(usualMs, Math.min(afterMs, AFTER_MAX_MS));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
