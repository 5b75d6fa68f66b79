import { infiniteQueryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { AuditList } from "@/api/schema";
import { dated, polledPages } from "@/services/polled";

const PAGE_COUNT = 100;
const LIST_MS = 10_000;

export interface AuditFilter {
  readonly action: string;
  readonly actor: string;
  /** ISO, or null for all that is kept. */
  readonly fromTime: string | null;
}

/** What was done, the newest first. Who has gone further back reads, and is not disturbed. */
export const auditQuery = ({ action, actor, fromTime }: AuditFilter, key: string) =>
  infiniteQueryOptions({
    getNextPageParam: (page: AuditList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      dated(
        request(AuditList, "/api/audit", {
          query: {
            action: action || null,
            actor: actor || null,
            cursor: pageParam,
            from_time: fromTime,
            limit: PAGE_COUNT,
          },
          signal,
        }),
      ),
    queryKey: ["audit", action, actor, key],
    ...polledPages(LIST_MS, 1),
  });
