// Publishes to many WebSocket subscribers: each gets every message, once and in order.
//
//   k6 run [-e SUBSCRIBERS=50] [-e RATE=100] [-e DURATION=2m] [-e PRE_VUS=20] [-e MAX_VUS=200] [-e BASE_URL=…] [-e API_KEY=…]
//
// A subscriber is a virtual user with one connection. It knows that it has all when the last message comes, which says
// how many there are; that is published when all others are. What has come to it up to then is compared with that.

import { check, fail, sleep } from "k6";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";
import ws from "k6/ws";
import { BASE_URL, forget, headers, newTopic, number, publish, unique, verify, VERIFIED } from "./common.js";

const SUBSCRIBERS = number("SUBSCRIBERS", 50);
const RATE = number("RATE", 100);
const DURATION = __ENV.DURATION || "2m";
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

const began = seconds(DURATION) + SUBSCRIBED_S;

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
    publish: {
      executor: "constant-arrival-rate",
      rate: RATE,
      timeUnit: "1s",
      duration: DURATION,
      startTime: `${SUBSCRIBED_S}s`,
      preAllocatedVUs: number("PRE_VUS", 20),
      maxVUs: number("MAX_VUS", 200),
      exec: "publishOne",
      gracefulStop: "15s",
    },
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
    "http_req_failed{kind:publish}": ["rate<0.01"],
    subscribed: [`count==${SUBSCRIBERS}`],
    missing: ["count==0"],
    delivered_again: ["count==0"],
    out_of_order: ["count==0"],
    unfinished: ["count==0"],
    received: [`count>=${SUBSCRIBERS}`],
    ...VERIFIED,
  },
};

const subscribed = new Counter("subscribed");

export const setup = () => newTopic("fanout");

export function subscribe(topic) {
  unfinished.add(1);
  const url = `${BASE_URL.replace(/^http/, "ws")}/ws`;
  let last = 0;
  let count = 0;
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
    if (payload.last === undefined) delivery.add(Date.now() - payload.at);
    else {
      missing.add(payload.last - (count - 1));
      unfinished.add(-1);
      socket.close();
    }
  }
}

export function publishOne(topic) {
  publish(topic, unique());
}

export function publishLast(topic) {
  let stored = -1;
  // Until what was under way is stored, or refused.
  for (let now = lastSeq(topic); now !== stored; now = lastSeq(topic)) {
    stored = now;
    sleep(2);
  }
  if (!publish(topic, { ...unique(), last: stored })) fail("the last message cannot be published");
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

function seconds(duration) {
  const units = { h: 3600, m: 60, s: 1 };
  const parts = [...duration.matchAll(/(\d+)([hms])/g)];
  if (parts.length === 0 || parts.map((each) => each[0]).join("") !== duration) {
    fail(`DURATION ${duration} is no time such as 90s or 2m`);
  }
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * units[unit], 0);
}
