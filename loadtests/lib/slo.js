// Thresholds, made of the one file that says what the service promises.

const slo = JSON.parse(open("../slo.json"));

// A threshold that always holds: k6 counts a metric by tags only where a threshold asks for it.
const TOLD = { trend: ["max>=0"], rate: ["rate>=0"], counter: ["count>=0"] };

const services = (endpoints) => [...new Set(endpoints.map((name) => promise(name).service))];

const promise = (endpoint) => {
  const found = slo.endpoints[endpoint];
  if (!found) throw new Error(`slo.json promises nothing for the endpoint '${endpoint}'`);
  return found;
};

const latencies = (endpoint) => {
  const { p95_ms, p99_ms } = promise(endpoint);
  return [`p(95)<=${p95_ms}`, `p(99)<=${p99_ms}`];
};

/**
 * Thresholds for what a scenario asks for. `only` are the k6 scenarios whose latency is judged, where it is not the
 * whole run's; `availability` takes the place of the promised one.
 */
export const thresholds = (config, endpoints, { only = null, availability = null } = {}) => {
  const all = {};
  for (const endpoint of endpoints) {
    const judged = config.judgesLatency ? latencies(endpoint) : TOLD.trend;
    all[`http_req_duration{endpoint:${endpoint}}`] = only ? TOLD.trend : judged;
    all[`unavailable{endpoint:${endpoint}}`] = TOLD.rate;
    for (const scenario of only ?? []) all[`http_req_duration{endpoint:${endpoint},scenario:${scenario}}`] = judged;
  }
  for (const service of services(endpoints)) {
    const may = 1 - (availability ?? slo.availability[service]);
    all[`unavailable{service:${service}}`] = [`rate<=${may.toFixed(6)}`];
  }
  // Where the generator cannot begin what is due, the latencies that it saw are those of another load.
  all.dropped_iterations = config.judgesLatency && !only ? ["count==0"] : TOLD.counter;
  return all;
};

/** Counts apart, and judges nothing. */
export const told = (metric, kind, scenarios) =>
  Object.fromEntries(scenarios.map((scenario) => [`${metric}{scenario:${scenario}}`, TOLD[kind]]));

/** Seconds from an announcement to being served. */
export const freshness = () => ({
  freshness_s: [`p(95)<=${slo.freshness.p95_s}`, `max<=${slo.freshness.max_s}`],
  snapshots_seen: TOLD.counter,
});

export const purchases = (config) => ({
  purchase_settled: [`rate>=${slo.availability.checkout}`],
  order_paid_s: config.judgesLatency
    ? [`p(95)<=${slo.order_paid.p95_s}`, `p(99)<=${slo.order_paid.p99_s}`]
    : TOLD.trend,
});

export const failover = () => ({ unavailable_at_s: TOLD.trend, retried: TOLD.counter });

export const failoverAvailability = 1 - slo.failover.max_unavailable;
