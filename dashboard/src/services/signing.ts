// That somebody signs in or out by hand, in this tab of the browser or in another one: they share one session.

import { serverUrl } from "@/api/place";
import { Signal } from "@/live/acquaintance";

const here = new Signal();

function open(): BroadcastChannel | null {
  return "BroadcastChannel" in globalThis ? new BroadcastChannel(`conduit ${serverUrl()}`) : null;
}

/** Somebody begins to sign in or out here. */
export function saySigning(): void {
  here.say();
  const others = open();
  others?.postMessage("signing");
  others?.close();
}

/** Calls it each time; what it returns ends that. */
export function onSigning(listener: () => void): () => void {
  const unhear = here.on(listener);
  const others = open();
  if (others) others.onmessage = listener;
  return () => {
    unhear();
    others?.close();
  };
}
