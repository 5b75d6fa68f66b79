// Publishes at a steady rate: p95 below 100 ms, less than 1 % errors, and everything that was acknowledged is stored.
//
//   k6 run [-e RATE=1000] [-e DURATION=2m] [-e PRE_VUS=100] [-e MAX_VUS=500] [-e BASE_URL=…] [-e API_KEY=…]
//
// Requests leave when they are due, however late answers are; what cannot leave, because MAX_VUS wait for theirs, is in
// dropped_iterations, of which there may be 1 % too.

import { VERIFIED, forget, newTopic, number, publish, unique, verify } from "./common.js";

const RATE = number("RATE", 1000);

export const options = {
  scenarios: {
    publish: {
      executor: "constant-arrival-rate",
      rate: RATE,
      timeUnit: "1s",
      duration: __ENV.DURATION || "2m",
      preAllocatedVUs: number("PRE_VUS", 100),
      maxVUs: number("MAX_VUS", 500),
    },
  },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
  teardownTimeout: "10m",
  thresholds: {
    "http_req_duration{kind:publish}": [`p(95)<${number("P95_MS", 100)}`],
    "http_req_failed{kind:publish}": ["rate<0.01"],
    dropped_iterations: [`rate<${RATE / 100}`],
    ...VERIFIED,
  },
};

export const setup = () => newTopic("sustained");

export default function (topic) {
  publish(topic, unique());
}

export function teardown(topic) {
  verify(topic);
  forget(topic);
}
