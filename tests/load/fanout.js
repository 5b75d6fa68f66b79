// Publishes to many WebSocket subscribers: each gets every message, once and in order.
//
//   k6 run [-e SUBSCRIBERS=50] [-e RATE=100] [-e DURATION=2m] [-e PRE_VUS=20] [-e MAX_VUS=200] [-e BASE_URL=…] [-e API_KEY=…]
//
// A subscriber is a virtual user with one connection. It knows that it has all when the last message comes, which says
// how many there are and has a digest of which they are, read from the log; that is published when all others are. What
// has come to it up to then is compared with that.
//
// Less than 1 % errors. A publish that could not leave, because MAX_VUS wait for their answers, is one too.

import { check, fail, sleep } from "k6";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";
import ws from "k6/ws";
import { BASE_URL, forget, headers, load, newTopic, number, publish, read, verify } from "./common.js";

const SUBSCRIBERS = number("SUBSCRIBERS", 50);
// All have subscribed by then, or the run fails.
const SUBSCRIBED_S = number("SUBSCRIBED_S", 10 + Math.ceil(SUBSCRIBERS / 50));
// What was published last has come by then.
const LAST_S = number("LAST_S", 30);

const delivery = new Trend("delivery_ms", true);
const received = new Counter("received");
const missing = new Counter("missing");
const again = new Counter("delivered_again");
const disorder = new Counter("out_of_order");
// Subscribers that began in time, less those that heard the last message.
const unfinished = new Counter("unfinished");
// Subscribers that got as many messages as there are, and not the same.
const mistaken = new Counter("not_as_stored");

const published = load({ rate: 100, duration: "2m", preVus: 20, maxVus: 200, errors: 0.01 });
const began = published.seconds + SUBSCRIBED_S;

export const options = {
  scenarios: {
    subscribe: {
      executor: "per-vu-iterations",
      vus: SUBSCRIBERS,
      iterations: 1,
      maxDuration: `${began + 2 * LAST_S}s`,
      exec: "subscribe",
      gracefulStop: "5s",
    },
    publish: { ...published.scenario, startTime: `${SUBSCRIBED_S}s` },
    // Behind the last publish and its answer.
    end: {
      executor: "per-vu-iterations",
      vus: 1,
      iterations: 1,
      startTime: `${began}s`,
      exec: "publishLast",
    },
  },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
  teardownTimeout: "10m",
  thresholds: {
    subscribed: [`count==${SUBSCRIBERS}`],
    missing: ["count==0"],
    delivered_again: ["count==0"],
    out_of_order: ["count==0"],
    not_as_stored: ["count==0"],
    unfinished: ["count==0"],
    received: [`count>=${SUBSCRIBERS}`],
    ...published.thresholds,
  },
};

const subscribed = new Counter("subscribed");

export const setup = () => newTopic("fanout");

export function subscribe(topic) {
  unfinished.add(1);
  const url = `${BASE_URL.replace(/^http/, "ws")}/ws`;
  let last = 0;
  let count = 0;
  let sum = 0;
  const answer = ws.connect(url, { headers: headers() }, (socket) => {
    socket.on("open", () =>
      socket.send(JSON.stringify({ type: "subscribe", topic, start: "earliest", ack: "auto" })),
    );
    // Where nothing comes any more the last message will not either.
    socket.setTimeout(() => socket.close(), (began + LAST_S) * 1000);
    socket.on("message", (text) => {
      // Messages that are ready together come in one frame, a line each.
      for (const line of text.split("\n")) {
        const frame = JSON.parse(line);
        if (frame.type === "subscribed") subscribed.add(1);
        else if (frame.type === "gap") missing.add(1);
        else if (frame.type === "error") fail(`${frame.code}: ${frame.error}`);
        else if (frame.type === "message") heard(frame, socket);
      }
    });
  });
  check(answer, { "connected": (each) => each && each.status === 101 });

  function heard({ payload, seq }, socket) {
    received.add(1);
    if (seq <= last) (seq === last ? again : disorder).add(1);
    else {
      missing.add(seq - last - 1);
      last = seq;
      count += 1;
    }
    if (payload.last === undefined) {
      delivery.add(Date.now() - payload.at);
      sum = digest(sum, seq, payload);
    } else {
      missing.add(payload.last.count - (count - 1));
      mistaken.add(payload.last.sum === sum ? 0 : 1);
      unfinished.add(-1);
      socket.close();
    }
  }
}

export function publishOne(topic) {
  publish(topic);
}

export function publishLast(topic) {
  let stored = look(topic);
  // Until what was under way is stored, or refused.
  for (sleep(2); lastSeq(topic) !== stored.last; sleep(2)) stored = look(topic);
  if (!publish(topic, { last: stored })) fail("the last message cannot be published");
}

export function teardown(topic) {
  verify(topic);
  forget(topic);
}

function lastSeq(topic) {
  const answer = http.get(`${BASE_URL}/api/topics/${topic}`, { headers: headers(), tags: { kind: "verify" } });
  if (answer.status !== 200) fail(`${topic} cannot be looked at: ${answer.status}`);
  return answer.json("last_seq");
}

/** What the log has: `count` messages up to the number `last`, and `sum` of them, the digest of all. */
function look(topic) {
  const stored = { count: 0, last: 0, sum: 0 };
  read(topic, ({ seq, payload }) => {
    stored.count += 1;
    stored.last = seq;
    stored.sum = digest(stored.sum, seq, payload);
  });
  return stored;
}

/** Of the messages before, and one more. One that only names others has no `n`. */
function digest(sum, seq, { vu, n = -1 }) {
  return [seq, vu, n].reduce((before, each) => (Math.imul(before, 31) + each) | 0, sum);
}
