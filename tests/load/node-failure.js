// Publishes while nodes fail and come back, and watches their health: less than 5 % errors, and everything that was
// acknowledged is stored. Nobody is killed by this script: kill a node while it runs, and start it again.
//
//   k6 run [-e RATE=500] [-e DURATION=3m] [-e PRE_VUS=100] [-e MAX_VUS=500] [-e BASE_URL=…] [-e NODES=url,url]
//          [-e API_KEY=…]
//
// BASE_URL is what clients use: a load balancer in front of several nodes. NODES are the nodes behind it, each looked at
// once a second; they may fail. With DOWN_MIN=1 it is an error if none of them was seen to fail.

import { check } from "k6";
import http from "k6/http";
import { Counter, Rate } from "k6/metrics";
import { BASE_URL, VERIFIED, forget, newTopic, number, publish, unique, verify } from "./common.js";

const DURATION = __ENV.DURATION || "3m";
const NODES = (__ENV.NODES || "").split(",").filter(Boolean);
const DOWN_MIN = Number(__ENV.DOWN_MIN || 0);

const healthy = new Rate("health_checks");
const nodeDown = new Counter("node_down_checks");

export const options = {
  scenarios: {
    publish: {
      executor: "constant-arrival-rate",
      rate: number("RATE", 500),
      timeUnit: "1s",
      duration: DURATION,
      preAllocatedVUs: number("PRE_VUS", 100),
      maxVUs: number("MAX_VUS", 500),
      exec: "publishOne",
    },
    health: {
      executor: "constant-arrival-rate",
      rate: 1,
      timeUnit: "1s",
      duration: DURATION,
      preAllocatedVUs: 5,
      exec: "watch",
    },
  },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
  teardownTimeout: "10m",
  thresholds: {
    "http_req_failed{kind:publish}": ["rate<0.05"],
    health_checks: ["rate>0.95"],
    ...(DOWN_MIN ? { node_down_checks: [`count>=${DOWN_MIN}`] } : {}),
    ...VERIFIED,
  },
};

export const setup = () => newTopic("node-failure");

export function publishOne(topic) {
  publish(topic, unique());
}

export function watch() {
  const asked = [BASE_URL, ...NODES].map((url) => ({
    method: "GET",
    url: `${url}/health`,
    params: { tags: { kind: "health" }, timeout: "2s" },
  }));
  const [all, ...each] = http.batch(asked);
  healthy.add(check(all, { "healthy": (answer) => answer.status === 200 }));
  nodeDown.add(each.filter((answer) => answer.status !== 200).length);
}

export function teardown(topic) {
  verify(topic);
  forget(topic);
}
