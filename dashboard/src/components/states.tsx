// How a list or a view looks while there is nothing to show, and when it is not what it was.

import type { ReactNode } from "react";
import { type ApiError, asApiError } from "@/api/errors";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { Copy } from "@/components/Copy";
import { foreign } from "@/components/foreign";

interface LoadingProps {
  readonly rows?: number;
  readonly what: string;
}

export function Loading({ rows = 4, what }: LoadingProps) {
  return (
    <div aria-busy="true" className="space-y-2 py-2" role="status">
      <span className="sr-only">Loading {what}…</span>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <div aria-hidden className="h-8 animate-pulse rounded-md bg-raised" key={row} />
      ))}
    </div>
  );
}

interface EmptyProps {
  readonly action?: ReactNode;
  readonly children?: ReactNode;
  readonly title: string;
}

export function Empty({ action, children, title }: EmptyProps) {
  return (
    <div className="rounded-lg border border-line border-dashed px-6 py-10 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="mx-auto mt-1 max-w-prose text-dim">{children}</div>}
      {action && <div className="mt-4 flex justify-center gap-2">{action}</div>}
    </div>
  );
}

interface FailureProps {
  readonly error: unknown;
  readonly onClose?: () => void;
  readonly onRetry?: (() => void) | undefined;
  readonly what: string;
}

export function Failure({ error, onClose, onRetry, what }: FailureProps) {
  const failure = asApiError(error);
  return (
    <div className="rounded-lg border border-bad bg-surface p-4" role="alert">
      <p className="font-medium text-bad">{what}</p>
      <p className="mt-1">{told(failure)}</p>
      <p className="mt-1 text-dim text-xs">
        Code <code className="font-mono">{failure.code}</code>
        {failure.requestId && (
          <>
            , request <code className="font-mono">{failure.requestId}</code>
          </>
        )}
      </p>
      <div className="mt-3 flex flex-wrap gap-2">
        {onRetry && !isForbidden(error) && <Button onClick={onRetry}>Try again</Button>}
        {failure.requestId && (
          <Copy label="Copy the request id" shown="Copy the request id" text={failure.requestId} />
        )}
        {onClose && <Button onClick={onClose}>Close</Button>}
      </div>
    </div>
  );
}

/** That asking again does not help: there is no right to it. */
export function isForbidden(error: unknown): boolean {
  return error !== null && asApiError(error).code === "forbidden";
}

function told(failure: ApiError): string {
  if (failure.code === "forbidden") return `You may not see this: ${foreign(failure.message)}`;
  const again = failure.retryAfterS;
  return again === null ? failure.message : `${foreign(failure.message)} (try again in ${again} s)`;
}

interface StaleProps {
  readonly error: unknown;
}

/** Beside what is shown and is not current any more. */
export function Stale({ error }: StaleProps) {
  const title = error ? asApiError(error).message : undefined;
  return (
    <Badge title={title} tone="warn">
      Stale
    </Badge>
  );
}
