// One request to the server: with a deadline, its errors typed, its answer checked against the schema.

import type { z } from "zod";
import { currentCaller, currentSession } from "@/api/caller";
import { ApiError, problemOf, unreachable } from "@/api/errors";
import { withExactPayloads } from "@/api/exact";
import { serverUrl } from "@/api/place";
import { reportAnswer, reportSilence } from "@/live/connection";

// The server answers within 20 s, if only to say that it cannot.
const DEADLINE_MS = 25_000;

export interface Asked {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly query?: Readonly<Record<string, string | number | boolean | null | undefined>>;
  readonly body?: unknown;
  /** Payloads in the answer are `Exact`, with at most so many characters of each. */
  readonly exactPayloads?: number;
  /** To sign in with. It is nowhere else, and nothing keeps it. */
  readonly key?: string;
  readonly signal?: AbortSignal | undefined;
  /** As whoever the browser has signed in as by now, and not as whom the page is of. */
  readonly anySession?: boolean;
  /** Whom it is for, null: the key's own; else the one that the page looks after when it is sent. */
  readonly tenant?: string | null;
}

/** JSON text that is the body of a request, character by character. */
export class RawJson {
  constructor(readonly text: string) {}
}

/** Ask, and return the answer if it is what the schema says. Throws ApiError, and AbortError if it is cancelled. */
export async function request<S extends z.ZodType>(
  schema: S,
  path: string,
  asked: Asked = {},
): Promise<z.output<S>> {
  let text = await ask(path, asked);
  if (asked.exactPayloads !== undefined) text = withExactPayloads(text, asked.exactPayloads);
  const answer = schema.safeParse(text === "" ? undefined : parsed(text, path));
  if (answer.success) return answer.data;
  const issue = answer.error.issues[0];
  const where = issue ? `${issue.path.join(".") || "the answer"}: ${issue.message}` : "";
  throw new ApiError(200, "unexpected_answer", `${path} was answered in another shape (${where})`);
}

async function ask(path: string, asked: Asked): Promise<string> {
  const session = sessionOf(asked);
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const signal = asked.signal ? AbortSignal.any([asked.signal, deadline]) : deadline;
  try {
    const response = await fetch(address(path, asked.query), {
      body: bodyOf(asked.body),
      cache: "no-store",
      credentials: "same-origin",
      headers: headers(asked),
      method: asked.method ?? "GET",
      signal,
    });
    const text = await response.text();
    reportAnswer();
    if (!response.ok) {
      const problem = problemOf(response.status, text, response.headers);
      throw session === null ? problem : ofSession(problem);
    }
    return text;
  } catch (error) {
    if (error instanceof ApiError || asked.signal?.aborted) throw error;
    const failure = unreachable(error);
    reportSilence(failure.message);
    throw failure;
  }
}

/** The session of the page is over, or another one has taken its place: whose that is this answer does not know. */
function ofSession(problem: ApiError): ApiError {
  const { code, requestId, status } = problem;
  if (code !== "unauthenticated") return problem;
  return new ApiError(status, code, "the session of this page has ended", requestId);
}

/** The id of the session that is asked as of; null: of whichever there is, or of none. */
function sessionOf({ anySession, key }: Asked): string | null {
  return anySession || key !== undefined ? null : currentSession();
}

export function address(path: string, query: Asked["query"] = {}): string {
  const url = new URL(path.replace(/^\//, ""), serverUrl());
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** JSON of the body; a `RawJson` is sent as it is. */
function bodyOf(body: unknown): string | null {
  if (body === undefined) return null;
  return body instanceof RawJson ? body.text : JSON.stringify(body);
}

// What a header can carry; more than that is in no key, and in no tenant's name.
const CARRIED = /^[\x20-\x7e]*$/;

function headers(asked: Asked): Record<string, string> {
  const { body, key, tenant = currentCaller().tenant } = asked;
  if (!CARRIED.test(key ?? "")) {
    throw new ApiError(401, "unauthenticated", "it has characters that no key has");
  }
  if (!CARRIED.test(tenant ?? "")) {
    throw new ApiError(404, "tenant_not_found", `tenant '${tenant}' does not exist`);
  }
  return {
    accept: "application/json",
    // Without it the cookie of the session counts for nothing: no page of another origin can send it.
    "x-conduit-session": sessionOf(asked) ?? "1",
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...(tenant !== null && { "x-conduit-tenant": tenant }),
  };
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(200, "unexpected_answer", `${path} was answered with no JSON`);
  }
}
