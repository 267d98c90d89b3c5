// Purchases: search, look, cart, checkout, pay, until the order is paid. RATE is purchases that begin in a second. It
// writes orders; a shop that was not made for it needs ALLOW_ORDERS=yes.

import { randomSeed, sleep } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn, pageParams } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { OUTCOMES, purchase } from "../lib/orders.js";
import { anyOf, chance, loadQueries } from "../lib/sampling.js";
import { purchases, thresholds } from "../lib/slo.js";

const THINK_S = 2;
const PURCHASE_S = 5;
const BUYS_TWO = 0.3;

const config = configure("checkout");
if (!config.mayOrder)
  throw new Error("the settings are at fault:\n  this places orders: ALLOW_ORDERS=yes, and Stripe in test mode");
const queries = loadQueries(config);
const edge = edgeOf(config);
randomSeed(config.seed + __VU);

const endpoints = [
  "search",
  "product",
  "carts",
  "checkouts",
  "complete",
  config.stripeSim ? "order" : "cancel_checkout",
];

export const options = {
  ...common(),
  scenarios: {
    purchases: steady(config, {
      exec: "buy",
      rate: config.rate,
      durationS: config.durationS,
      lastsS: PURCHASE_S,
      gracefulStop: "40s",
    }),
  },
  thresholds: {
    ...thresholds(config, endpoints),
    ...purchases(config),
    ...Object.fromEntries(OUTCOMES.map((outcome) => [`purchases{outcome:${outcome}}`, ["count>=0"]])),
  },
};

export const setup = () => learn(config, queries);

const wanted = () => {
  const hits = edge.search(pageParams(queries.pick()))?.hits ?? [];
  return hits.filter(({ price, availability }) => price && availability === "in_stock");
};

export const buy = () => {
  const first = anyOf(wanted());
  if (!first) return;
  edge.product(first.id);
  sleep(THINK_S * config.think * Math.random());
  const second = chance(BUYS_TWO) ? anyOf(wanted()) : null;
  const fits = second && second.id !== first.id && second.price.currency === first.price.currency;
  purchase(config, fits ? [first, second] : [first]);
};
