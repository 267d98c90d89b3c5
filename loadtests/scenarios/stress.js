// Up in steps to RATE requests a second, past the knee if there is one, and back. What is judged is the first step and
// the one after: whether the service comes back to its promises. The steps between tell where the knee is.

import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { MIX_ENDPOINTS, mixOf } from "../lib/mix.js";
import { loadQueries } from "../lib/sampling.js";
import { thresholds, told } from "../lib/slo.js";

const STEPS = 8;
/** Between the last step and the one after, queues may empty. */
const PAUSE_S = 3;

const config = configure("stress");
const queries = loadQueries(config);
const edge = edgeOf(config);
const ask = mixOf(edge, queries);
randomSeed(config.seed + __VU);

const stepS = config.durationS / (STEPS + 1);
const step = (place, rate, startS) => [
  place,
  steady(config, { exec: "single", rate, durationS: stepS, startS, gracefulStop: "1s" }),
];
const rising = Array.from({ length: STEPS }, (_, place) =>
  step(`step_${place + 1}`, (config.rate * (place + 1)) / STEPS, place * stepS),
);
const after = step("after", config.rate / STEPS, STEPS * stepS + PAUSE_S);
const names = [...rising.map(([name]) => name), "after"];

export const options = {
  ...common(),
  scenarios: Object.fromEntries([...rising, after]),
  thresholds: {
    // Beyond the knee, requests are turned away on purpose.
    ...thresholds(config, MIX_ENDPOINTS, { only: ["step_1", "after"], availability: 0 }),
    ...told("http_req_duration", "trend", names),
    ...told("unavailable", "rate", names),
    ...told("dropped_iterations", "counter", names),
    "unavailable{scenario:step_1}": ["rate<=0.0005"],
    "unavailable{scenario:after}": ["rate<=0.0005"],
  },
};

export const setup = () => learn(config, queries);

export const single = (learned) => ask(learned);
