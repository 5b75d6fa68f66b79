// What a server says of its store, under names that say what it is.

import { bytes, count } from "@/components/format";

const BYTES = /_bytes$/;
// Names of the API and of the databases; one that is not here is shown as it is written.
const NAMES: Readonly<Record<string, string>> = {
  disk_free_bytes: "Free on its disk",
  durable: "Outlives the process",
  free_bytes: "Free room in the file",
  fsync: "Waits for the disk (fsync)",
  full_page_writes: "Whole pages in the log (full_page_writes)",
  fullfsync: "Waits for the disk's own memory (fullfsync)",
  journal_mode: "Journal (journal_mode)",
  kind: "Store",
  row_level_security: "Tenants apart in the database (row_level_security)",
  server_version: "Version of PostgreSQL",
  servers: "Servers that use it",
  size_bytes: "Room it takes",
  sqlite_version: "Version of SQLite",
  synchronous: "A commit waits for the disk (synchronous)",
  synchronous_commit: "A commit waits for (synchronous_commit)",
  synchronous_standby_names: "Standbys that confirm a commit",
  wal_bytes: "Beside it, not in the file yet",
};

/** Label and value of each; what has none is left out. */
export function storeFacts(store: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(store)
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, value]) => [NAMES[name] ?? words(name), text(name, value)]);
}

function words(name: string): string {
  const said = name.replace(BYTES, "").replaceAll("_", " ");
  return said.charAt(0).toUpperCase() + said.slice(1);
}

function text(name: string, value: unknown): string {
  if (typeof value === "number") return BYTES.test(name) ? bytes(value) : count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
