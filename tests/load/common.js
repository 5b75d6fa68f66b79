// What the three scripts share: where the server is, a topic of this run, publishing, and looking afterwards whether
// everything that was acknowledged is stored, once.

import { check, fail } from "k6";
import http from "k6/http";
import { Counter } from "k6/metrics";

export const BASE_URL = (__ENV.BASE_URL || "http://localhost:8080").replace(/\/$/, "");
// A key with the scopes publish, subscribe and manage, if the server asks for keys.
const API_KEY = __ENV.API_KEY || "";
const PAGE_COUNT = 500;

// Acknowledged publishes, less what the log has of them: more than 0 and something acknowledged is not there.
const lost = new Counter("lost");
// Messages that the log has once more than they were published.
const twice = new Counter("stored_twice");

export const VERIFIED = { lost: ["count<=0"], stored_twice: ["count==0"] };

export function headers(more) {
  const own = { "Content-Type": "application/json", ...more };
  return API_KEY ? { ...own, Authorization: `Bearer ${API_KEY}` } : own;
}

export function number(name, otherwise) {
  const value = __ENV[name] === undefined ? otherwise : Number(__ENV[name]);
  if (!Number.isInteger(value) || value < 1) fail(`${name} is no whole number above 0`);
  return value;
}

/** Creates the topic of this run, which nobody else uses; returns its name. */
export function newTopic(kind) {
  const name = `load.${kind}.${Date.now()}-${Math.floor(Math.random() * 1e6)}`;
  const made = http.post(`${BASE_URL}/api/topics`, JSON.stringify({ name }), {
    headers: headers(),
    tags: { kind: "setup" },
  });
  if (made.status !== 201) fail(`topic ${name} cannot be made: ${made.status} ${made.body}`);
  return name;
}

/** Publishes one message; true if the server said that it is stored. */
export function publish(topic, payload) {
  const answer = http.post(`${BASE_URL}/api/publish`, JSON.stringify({ topic, payload }), {
    headers: headers(),
    tags: { kind: "publish" },
    timeout: "10s",
  });
  const isStored = check(answer, { "published": (each) => each.status === 200 });
  lost.add(isStored ? 1 : 0);
  return isStored;
}

/** What one virtual user publishes in one iteration, and nobody else. */
export function unique() {
  return { vu: __VU, iteration: __ITER, at: Date.now() };
}

/** Reads the topic from its beginning to its end. A publish without an answer may be stored or not; one that was
 * acknowledged must be. */
export function verify(topic) {
  const seen = new Set();
  let after = 1;
  for (;;) {
    const url = `${BASE_URL}/api/topics/${topic}/messages?limit=${PAGE_COUNT}&from_seq=${after}`;
    const page = http.get(url, { headers: headers(), tags: { kind: "verify" } });
    if (page.status !== 200) fail(`${topic} cannot be read: ${page.status} ${page.body}`);
    const { messages } = page.json();
    for (const { payload, seq } of messages) {
      const key = `${payload.vu} ${payload.iteration}`;
      if (seen.has(key)) twice.add(1);
      seen.add(key);
      after = seq + 1;
    }
    if (messages.length < PAGE_COUNT) break;
  }
  lost.add(-seen.size);
}

/** The topic goes, unless KEEP is set. */
export function forget(topic) {
  if (__ENV.KEEP) return;
  http.del(`${BASE_URL}/api/topics/${topic}`, null, { headers: headers(), tags: { kind: "setup" } });
}
