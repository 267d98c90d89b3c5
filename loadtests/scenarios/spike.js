// A calm rate, ten times as much at once for a third of the time, and calm again. RATE is requests a second in the
// spike. Nothing may fail in it, and the calm after must be as good as the calm before.

import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { MIX_ENDPOINTS, mixOf } from "../lib/mix.js";
import { loadQueries } from "../lib/sampling.js";
import { thresholds, told } from "../lib/slo.js";

const CALM = 0.1;

const config = configure("spike");
const queries = loadQueries(config);
const edge = edgeOf(config);
const ask = mixOf(edge, queries);
randomSeed(config.seed + __VU);

const thirdS = config.durationS / 3;
const phase = (rate, place) =>
  steady(config, { exec: "single", rate, durationS: thirdS, startS: place * thirdS, gracefulStop: "1s" });
const names = ["before", "spike", "after"];

export const options = {
  ...common(),
  scenarios: {
    before: phase(config.rate * CALM, 0),
    spike: phase(config.rate, 1),
    after: phase(config.rate * CALM, 2),
  },
  thresholds: {
    ...thresholds(config, MIX_ENDPOINTS, { only: ["before", "after"] }),
    ...told("http_req_duration", "trend", names),
    ...told("unavailable", "rate", names),
    ...told("dropped_iterations", "counter", names),
  },
};

export const setup = () => learn(config, queries);

export const single = (learned) => ask(learned);
