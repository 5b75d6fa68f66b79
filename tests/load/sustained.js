// Publishes at a steady rate: p95 below 100 ms, less than 1 % errors, and everything that was acknowledged is stored.
//
//   k6 run [-e RATE=1000] [-e DURATION=2m] [-e PRE_VUS=100] [-e MAX_VUS=500] [-e BASE_URL=…] [-e API_KEY=…]
//
// Requests leave when they are due, however late answers are; what cannot leave, because MAX_VUS wait for theirs, is in
// dropped_iterations, and an error too.

import { forget, load, newTopic, number, publish, verify } from "./common.js";

const { scenario, thresholds } = load({ rate: 1000, duration: "2m", preVus: 100, maxVus: 500, errors: 0.01 });

export const options = {
  scenarios: { publish: scenario },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
  teardownTimeout: "10m",
  thresholds: {
    "http_req_duration{kind:publish}": [`p(95)<${number("P95_MS", 100)}`],
    ...thresholds,
  },
};

export const setup = () => newTopic("sustained");

export function publishOne(topic) {
  publish(topic);
}

export function teardown(topic) {
  verify(topic);
  forget(topic);
}
