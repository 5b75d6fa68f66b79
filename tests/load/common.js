// What the three scripts share: the load, a topic of this run, publishing, and looking afterwards whether each message
// that was acknowledged is stored, once, under the number of its receipt and in order.
//
// Virtual users share nothing, so the log tells what each of them knows: a publish that got no receipt is named in the
// next message of the same virtual user. What was begun is in the log, or named there, or lost. So a message that is
// stored although its publisher got no receipt does not make up for one that was acknowledged and is gone.

import { check, fail, sleep } from "k6";
import exec from "k6/execution";
import http from "k6/http";
import { Counter } from "k6/metrics";

export const BASE_URL = (__ENV.BASE_URL || "http://localhost:8080").replace(/\/$/, "");
// A key with the scopes publish, subscribe and manage, if the server asks for keys.
const API_KEY = __ENV.API_KEY || "";
// The publishes of the scenario that k6 has seen acknowledged.
const ACKNOWLEDGED = "http_reqs{scenario:publish,kind:publish,status:200}";
const PAGE_COUNT = 1000;
// A publish without an answer until then counts as failed.
const ANSWER_S = 10;
// How long a virtual user tries, at the end, to say which of its publishes got no receipt.
const TELL_S = 30;
// How long before its end a load may take no publish any more.
const END_S = 0.1;
// So many that are lost are named in k6's log.
const NAMED_MAX = 10;

// Publishes that began, less those that the log has or names as without a receipt.
const lost = new Counter("lost");
// Messages that the log has once more than they were published, and ids that it has once more.
const twice = new Counter("stored_twice");
// Messages that one virtual user published after another of its own, and that are stored before it.
const disorder = new Counter("stored_out_of_order");
// A sum over the receipts' numbers, less the same over the log: not 0 if a message is stored under another number.
const misnumbered = new Counter("misnumbered");

// Of this virtual user: how many publishes began, and which of them got no receipt and are not named in the log yet.
let begun = 0;
let unanswered = [];
// From when on, counted from the beginning of the load, this may be the last turn of a virtual user.
let lastTurn_s = 0;

export function headers(more) {
  const own = { "Content-Type": "application/json", ...more };
  return API_KEY ? { ...own, Authorization: `Bearer ${API_KEY}` } : own;
}

export function number(name, otherwise) {
  const value = __ENV[name] === undefined ? otherwise : Number(__ENV[name]);
  if (!Number.isInteger(value) || value < 1) fail(`${name} is no whole number above 0`);
  return value;
}

/** Of a duration such as 90s or 1m30s. */
function seconds(duration) {
  const units = { h: 3600, m: 60, s: 1 };
  const parts = [...duration.matchAll(/(\d+)([hms])/g)];
  if (parts.length === 0 || parts.map((each) => each[0]).join("") !== duration) {
    fail(`DURATION ${duration} is no time such as 90s or 2m`);
  }
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * units[unit], 0);
}

/** RATE, DURATION, PRE_VUS and MAX_VUS, which default to what is given: the `scenario` to be called publish, how long it
 * takes in `seconds`, and the `thresholds` of a run in which a share of less than `errors` may fail. A publish that
 * never left, because MAX_VUS wait for their answers, is an error like one that was refused. */
export function load({ rate, duration, preVus, maxVus, errors }) {
  const asked = {
    rate: number("RATE", rate),
    duration: __ENV.DURATION || duration,
    preAllocatedVUs: number("PRE_VUS", preVus),
    maxVUs: number("MAX_VUS", maxVus),
  };
  const duration_s = seconds(asked.duration);
  // Those that wait for work get it in order, so that each has its turn in half of this.
  lastTurn_s = duration_s - 2 - (2 * asked.maxVUs) / asked.rate;
  return {
    seconds: duration_s,
    scenario: {
      executor: "constant-arrival-rate",
      timeUnit: "1s",
      exec: "publishOne",
      gracefulStop: `${2 * ANSWER_S + TELL_S}s`,
      ...asked,
    },
    thresholds: {
      "http_req_failed{kind:publish}": [`rate<${errors}`],
      [ACKNOWLEDGED]: [`count>${(1 - errors) * asked.rate * duration_s - END_S * asked.rate - 1}`],
      lost: ["count==0"],
      stored_twice: ["count==0"],
      stored_out_of_order: ["count==0"],
      misnumbered: ["count==0"],
    },
  };
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

/** Publishes a message, which nobody else does, with `more` in its payload; true if the server said that it is
 * stored. */
export function publish(topic, more) {
  const n = begun;
  begun += 1;
  lost.add(1);
  const named = unanswered;
  const answer = send(topic, { vu: __VU, n, ...more }, "publish");
  const isStored = check(answer, { "published": (each) => each.status === 200 });
  if (isStored) misnumbered.add(weight(__VU, n, answer.json("seq")));
  else unanswered = [...named, n];
  if (unanswered.length > 0 && mayHaveHadItsLastTurn()) tell(topic);
  return isStored;
}

/** Reads a topic from its beginning to its end, message by message. */
export function read(topic, each) {
  for (let from = 1; from; ) {
    const url = `${BASE_URL}/api/topics/${topic}/messages?limit=${PAGE_COUNT}&from_seq=${from}`;
    const page = http.get(url, { headers: headers(), tags: { kind: "verify" } });
    if (page.status !== 200) fail(`${topic} cannot be read: ${page.status} ${page.body}`);
    const { messages, next } = page.json();
    messages.forEach(each);
    from = next;
  }
}

/** Compares what the log has with what was acknowledged. */
export function verify(topic) {
  const ids = new Set();
  const stored = new Map();
  const named = new Map();
  read(topic, ({ message_id: id, seq, payload: { vu, n, unanswered: those } }) => {
    if (ids.has(id)) twice.add(1);
    ids.add(id);
    for (const each of those || []) entry(named, vu, Set).add(each);
    if (n !== undefined) entry(stored, vu, Array).push(n, seq);
  });
  const vus = [...new Set([...stored.keys(), ...named.keys()])];
  const found = vus.map((vu) => compare(vu, entry(stored, vu, Array), entry(named, vu, Set)));
  lost.add(-found.reduce((sum, each) => sum + each.known, 0));
  misnumbered.add(-found.reduce((sum, each) => sum + each.weight, 0));
  found.flatMap((each) => each.absent).slice(0, NAMED_MAX).forEach((each) => console.error(`lost: ${each}`));
}

/** Of one virtual user: `stored` has its messages' numbers and those of the log by turns, as the log has them. */
function compare(vu, stored, named) {
  const known = new Set();
  let [sum, last] = [0, -1];
  for (let at = 0; at < stored.length; at += 2) {
    const [n, seq] = [stored[at], stored[at + 1]];
    if (known.has(n)) twice.add(1);
    // Without a receipt nobody knows when it was stored.
    else if (!named.has(n)) {
      if (n < last) disorder.add(1);
      last = Math.max(last, n);
      sum += weight(vu, n, seq);
    }
    known.add(n);
  }
  for (const n of named) known.add(n);
  const absent = [];
  for (let n = 0; n < last; n += 1) if (!known.has(n)) absent.push(`message ${n} of virtual user ${vu}`);
  return { known: known.size, weight: sum, absent };
}

/** The topic goes, unless KEEP is set. */
export function forget(topic) {
  if (__ENV.KEEP) return;
  http.del(`${BASE_URL}/api/topics/${topic}`, null, { headers: headers(), tags: { kind: "setup" } });
}

/** Names publishes without a receipt, until the server has it. Those that it does not get to name are `lost`. */
function tell(topic) {
  for (const until = Date.now() + 1000 * TELL_S; unanswered.length > 0 && Date.now() < until; ) {
    if (send(topic, { vu: __VU }, "tell").status !== 200) sleep(1);
  }
}

function send(topic, own, kind) {
  const named = unanswered;
  const payload = { ...own, at: Date.now(), ...(named.length > 0 ? { unanswered: named } : {}) };
  const answer = http.post(`${BASE_URL}/api/publish`, JSON.stringify({ topic, payload }), {
    headers: headers(),
    tags: { kind },
    timeout: `${ANSWER_S}s`,
  });
  if (answer.status === 200) unanswered = [];
  return answer;
}

const mayHaveHadItsLastTurn = () => Date.now() >= exec.scenario.startTime + 1000 * lastTurn_s;

// Small enough that the sum over millions of messages is a whole number.
const weight = (vu, n, seq) => (((31 * vu + n) % 127) + 1) * seq;

function entry(map, key, Kind) {
  if (!map.has(key)) map.set(key, new Kind());
  return map.get(key);
}
