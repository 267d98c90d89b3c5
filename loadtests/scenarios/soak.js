// Sessions for long, with publishes now and then: nothing may grow. Latencies of the first and the last third are told
// apart; `loadtests/run` compares them, and the memory and open files of an edge that it started. RATE is sessions a
// second.

import exec from "k6/execution";
import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { loadQueries } from "../lib/sampling.js";
import { SESSION_ENDPOINTS, SESSION_S, sessionOf } from "../lib/sessions.js";
import { freshness, thresholds } from "../lib/slo.js";
import { watch, watcher } from "../lib/watch.js";

const config = configure("soak");
const queries = loadQueries(config);
const edge = edgeOf(config);
const shop = sessionOf(config, edge, queries);
randomSeed(config.seed + __VU);

const thirds = [1, 2, 3];

export const options = {
  ...common(),
  scenarios: {
    sessions: steady(config, {
      exec: "session",
      rate: config.rate,
      durationS: config.durationS,
      lastsS: SESSION_S * config.think + 1,
      gracefulStop: "3s",
    }),
    watch: watcher(config.durationS),
  },
  thresholds: {
    ...thresholds(config, [...SESSION_ENDPOINTS, "snapshot"]),
    ...freshness(),
    ...Object.fromEntries(thirds.map((third) => [`http_req_duration{third:${third}}`, ["max>=0"]])),
    ...Object.fromEntries(thirds.map((third) => [`unavailable{third:${third}}`, ["rate>=0"]])),
  },
};

export const setup = () => learn(config, queries);

export const session = (learned) => {
  exec.vu.metrics.tags.third = String(Math.min(3, 1 + Math.floor(exec.scenario.progress * 3)));
  shop(learned);
};

export const observe = () => watch(edge);
