// Questions at a steady rate while snapshots are published, and how soon those are served. Somebody must publish:
// `loadtests/run` does, into the store that it made or by PUBLISH_COMMAND. RATE is requests a second.

import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { MIX_ENDPOINTS, mixOf } from "../lib/mix.js";
import { loadQueries } from "../lib/sampling.js";
import { freshness, thresholds } from "../lib/slo.js";
import { watch, watcher } from "../lib/watch.js";

const config = configure("publish");
const queries = loadQueries(config);
const edge = edgeOf(config);
const ask = mixOf(edge, queries);
randomSeed(config.seed + __VU);

export const options = {
  ...common(),
  scenarios: {
    mix: steady(config, { exec: "single", rate: config.rate, durationS: config.durationS }),
    watch: watcher(config.durationS),
  },
  thresholds: { ...thresholds(config, [...MIX_ENDPOINTS, "snapshot"]), ...freshness() },
};

export const setup = () => learn(config, queries);

export const single = (learned) => ask(learned);

export const observe = () => watch(edge);
