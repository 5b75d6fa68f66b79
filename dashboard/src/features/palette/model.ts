// What the palette offers for what was typed: pages first, then topics, then subscriptions.

import { PAGES } from "@/features/pages";

export interface Choice {
  readonly id: string;
  readonly label: string;
  readonly kind: string;
  readonly to: string;
}

export interface Names {
  readonly subscriptions: readonly string[];
  readonly topics: readonly string[];
}

/** Names may be of what was typed a moment ago: only those count that have what is typed now. */
export function choices(typed: string, { subscriptions, topics }: Names): Choice[] {
  const wanted = typed.trim().toLowerCase();
  const has = (name: string) => name.toLowerCase().includes(wanted);
  const pages = PAGES.filter((page) => has(page.label)).map((page) => ({
    id: `page-${page.label}`,
    kind: "Page",
    label: page.label,
    to: page.to,
  }));
  const found = topics.filter(has).map((name) => ({
    id: `topic-${name}`,
    kind: "Topic",
    label: name,
    to: `/topics/${encodeURIComponent(name)}`,
  }));
  const followers = subscriptions.filter(has).map((name) => ({
    id: `subscription-${name}`,
    kind: "Subscription",
    label: name,
    to: `/subscriptions/${encodeURIComponent(name)}`,
  }));
  return [...pages, ...found, ...followers];
}

/** The place of the choice that is marked, after a key; it goes round. */
export function moved(at: number, key: string, total: number): number {
  if (total === 0) return 0;
  if (key === "ArrowDown") return (at + 1) % total;
  if (key === "ArrowUp") return (at - 1 + total) % total;
  return Math.min(at, total - 1);
}
