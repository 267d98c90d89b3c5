// Shoppers' sessions at a steady rate. RATE is sessions that begin in a second.

import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { loadQueries } from "../lib/sampling.js";
import { SESSION_ENDPOINTS, SESSION_S, sessionOf } from "../lib/sessions.js";
import { thresholds } from "../lib/slo.js";

const config = configure("browse");
const queries = loadQueries(config);
const edge = edgeOf(config);
const shop = sessionOf(config, edge, queries);
randomSeed(config.seed + __VU);

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
  },
  thresholds: thresholds(config, SESSION_ENDPOINTS),
};

export const setup = () => learn(config, queries);

export const session = (learned) => shop(learned);
