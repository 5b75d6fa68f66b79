import type { Health } from "@/api/schema";
import type { Tone } from "@/components/stateColours";

export interface EnvironmentBadge {
  readonly label: string;
  /** What follows where there is room. */
  readonly more: string;
  readonly title: string;
  readonly tone: Tone;
}

/** What the server is, in a word; null if it does not say that to who asks. */
export function environment({ auth, node_id, store, version }: Health): EnvironmentBadge | null {
  if (!store) return null;
  const kind = String(store.kind ?? "store");
  const where = `Conduit ${version ?? ""} on node ${node_id ?? "?"}, with ${kind}.`;
  if (store.durable === false) {
    const title = `${where} Nothing survives the end of this process.`;
    return { label: kind, more: ", for trying out", title, tone: "warn" };
  }
  if (auth && !auth.enabled) {
    const who = auth.open_to === "loopback" ? "on this machine" : "who reaches it";
    return {
      label: kind,
      more: ", open",
      title: `${where} Everybody ${who} can do everything.`,
      tone: "warn",
    };
  }
  return { label: kind, more: "", title: `${where} Keys are asked for.`, tone: "ok" };
}
