import type { Health } from "@/api/schema";
import { Facts } from "@/components/Facts";
import { bytes, count } from "@/components/format";

const BYTES = /_bytes$/;

/** What the node runs on that answers: its store, and how it is among others. */
export function Store({ health }: { readonly health: Health }) {
  const store = health.store as Readonly<Record<string, unknown>> | undefined;
  if (!store) return null;
  const rows: [string, React.ReactNode][] = Object.entries(store).map(([name, value]) => [
    words(name),
    text(name, value),
  ]);
  return (
    <section aria-labelledby="store" className="max-w-3xl space-y-3">
      <h2 className="font-medium" id="store">
        What {health.node_id ?? "it"} runs on
      </h2>
      {health.not_ready && (
        <p className="text-bad" role="alert">
          Not ready: {health.not_ready.detail}
        </p>
      )}
      {health.cluster && <p className="break-words text-dim">{health.cluster.detail}</p>}
      <Facts rows={rows} />
    </section>
  );
}

function words(name: string): string {
  const said = name.replace(BYTES, "").replaceAll("_", " ");
  return said.charAt(0).toUpperCase() + said.slice(1);
}

function text(name: string, value: unknown): string {
  if (typeof value === "number") return BYTES.test(name) ? bytes(value) : count(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
