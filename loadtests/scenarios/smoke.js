// Does everything answer? Each endpoint once with a look at what it says, then a little of everything.

import { check, randomSeed } from "k6";

import { common, steady } from "../lib/arrivals.js";
import { learn, pageParams } from "../lib/catalogue.js";
import { configure } from "../lib/config.js";
import { edgeOf } from "../lib/edge.js";
import { MIX_ENDPOINTS, mixOf } from "../lib/mix.js";
import { loadQueries } from "../lib/sampling.js";
import { thresholds } from "../lib/slo.js";

const config = configure("smoke");
const queries = loadQueries(config);
const edge = edgeOf(config);
const ask = mixOf(edge, queries);
randomSeed(config.seed + __VU);

export const options = {
  ...common(),
  scenarios: {
    contract: { executor: "per-vu-iterations", exec: "contract", vus: 1, iterations: 1, maxDuration: "30s" },
    mix: steady(config, { exec: "single", rate: config.rate, durationS: config.durationS }),
  },
  thresholds: { ...thresholds(config, [...MIX_ENDPOINTS, "products", "snapshot"]), checks: ["rate==1"] },
};

export const setup = () => learn(config, queries);

export const contract = ({ ids, query }) => {
  const [first] = ids;
  const found = edge.search(pageParams(query));
  check(found, {
    "search: has hits, a total and facets": (answer) => answer?.hits?.length > 0 && answer.found > 0 && !!answer.facets,
    "search: names its snapshot": (answer) => !!answer?.snapshot?.id,
  });
  check(edge.snapshot(), {
    "snapshot: counts products": (answer) => answer?.markets?.some(({ product_count }) => product_count > 0),
  });
  check(edge.suggest(query.slice(0, 3)), {
    "suggest: is a list": (answer) => Array.isArray(answer?.suggestions),
  });
  check(edge.product(first), { "product: is the one asked for": (product) => product?.id === first });
  check(edge.products(ids.slice(0, 3)), {
    "products: are those asked for": (answer) => answer?.products?.length === Math.min(3, ids.length),
  });
  check(edge.similar(first), {
    "similar: is a list without itself": (answer) => answer?.products?.every(({ id }) => id !== first),
  });
  check(edge.categories(), {
    "categories: have counts": (answer) => answer?.categories?.every(({ count }) => count > 0),
  });
};

export const single = (learned) => ask(learned);
