// That somebody signs in or out by hand, in this tab of the browser or in another one: they share one session.

import { serverUrl } from "@/api/place";
import { Signal } from "@/live/acquaintance";

const here = new Signal();

function open(): BroadcastChannel | null {
  return "BroadcastChannel" in globalThis ? new BroadcastChannel(`conduit ${serverUrl()}`) : null;
}

const SIGNING = "signing";
const SIGNED_OUT = "signed out";

/** Somebody begins to sign in or out here. */
export function saySigning(): void {
  here.say();
  tell(SIGNING);
}

/** Who was signed in has signed out here. The other tabs cannot tell it from a session that has ended. */
export function saySignedOut(): void {
  tell(SIGNED_OUT);
}

/** Calls it each time that it was in another tab; what it returns ends that. */
export function onSignedOut(listener: () => void): () => void {
  const others = open();
  if (others) others.onmessage = ({ data }) => data === SIGNED_OUT && listener();
  return () => others?.close();
}

function tell(what: string): void {
  const others = open();
  others?.postMessage(what);
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
