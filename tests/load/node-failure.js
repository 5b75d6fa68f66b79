// Publishes while nodes fail and come back, and watches their health: less than 5 % errors, and everything that was
// acknowledged is stored. Nobody is killed by this script: kill a node while it runs, and start it again.
//
//   k6 run [-e RATE=500] [-e DURATION=3m] [-e PRE_VUS=100] [-e MAX_VUS=500] [-e BASE_URL=…] [-e NODES=url,url]
//          [-e API_KEY=…]
//
// A publish is an error if it was refused, had no answer, or could not leave because MAX_VUS wait for their answers.
//
// BASE_URL is what clients use: a load balancer in front of several nodes. NODES are the nodes behind it, each looked at
// once a second; they may fail. With DOWN_MIN=1 it is an error if none of them was seen to fail. /health says that a
// process runs; by /health/ready somebody, BASE_URL or one of NODES, has to say that it serves requests.

import { check } from "k6";
import http from "k6/http";
import { Counter, Rate } from "k6/metrics";
import { BASE_URL, forget, load, newTopic, publish, verify } from "./common.js";

const NODES = (__ENV.NODES || "").split(",").filter(Boolean);
const DOWN_MIN = Number(__ENV.DOWN_MIN || 0);

const healthy = new Rate("health_checks");
const ready = new Rate("ready_checks");
const nodeDown = new Counter("node_down_checks");

const { scenario, thresholds } = load({ rate: 500, duration: "3m", preVus: 100, maxVus: 500, errors: 0.05 });

export const options = {
  scenarios: {
    publish: scenario,
    health: {
      executor: "constant-arrival-rate",
      rate: 1,
      timeUnit: "1s",
      duration: scenario.duration,
      preAllocatedVUs: 5,
      exec: "watch",
    },
  },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
  teardownTimeout: "10m",
  thresholds: {
    health_checks: ["rate>0.95"],
    // Where nobody says it there are none.
    ready_checks: ["rate>0.95"],
    ...(DOWN_MIN ? { node_down_checks: [`count>=${DOWN_MIN}`] } : {}),
    ...thresholds,
  },
};

/** The topic, and whether there is somebody who says when requests are served. */
export function setup() {
  const isReadySaid = ask("/health/ready").some((answer) => answer.status !== 404);
  return { topic: newTopic("node-failure"), isReadySaid };
}

export function publishOne({ topic }) {
  publish(topic);
}

export function watch({ isReadySaid }) {
  const [all, ...each] = ask("/health");
  healthy.add(check(all, { "healthy": isFine }));
  nodeDown.add(each.filter((answer) => !isFine(answer)).length);
  if (isReadySaid) ready.add(check(ask("/health/ready"), { "ready": (answers) => answers.some(isFine) }));
}

export function teardown({ topic }) {
  verify(topic);
  forget(topic);
}

const isFine = (answer) => answer.status === 200;

function ask(path) {
  const params = { tags: { kind: "health" }, timeout: "2s" };
  return http.batch([BASE_URL, ...NODES].map((url) => ({ method: "GET", url: `${url}${path}`, params })));
}
