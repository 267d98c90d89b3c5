// Questions at a steady rate while a region goes down and comes back. TARGET is a balancer before the regions, or the
// regions themselves, separated by commas: then the script does what a balancer does. Break the region yourself, or let
// `loadtests/run` start two edges and kill one. RATE is requests a second.

import { randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { MIX_ENDPOINTS, mixOf } from "../lib/mix.js";
import { loadQueries } from "../lib/sampling.js";
import { failover, failoverAvailability, thresholds } from "../lib/slo.js";

const config = configure("failover");
const queries = loadQueries(config);
const edge = edgeOf(config);
const ask = mixOf(edge, queries);
randomSeed(config.seed + __VU);

export const options = {
  ...common(),
  scenarios: { mix: steady(config, { exec: "single", rate: config.rate, durationS: config.durationS }) },
  thresholds: { ...thresholds(config, MIX_ENDPOINTS, { availability: failoverAvailability }), ...failover() },
};

export const setup = () => learn(config, queries);

export const single = (learned) => ask(learned);
