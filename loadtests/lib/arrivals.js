// Open-loop arrivals: shoppers come when they come, however slow the shop is, so that a slow answer delays nobody's
// question and hides no queue (no coordinated omission).

const MIN_VUS = 20;

/** k6 wants whole numbers: a rate a second is told as one a minute. */
const PER = "1m";
const arrivals = (rate) => Math.max(1, Math.round(rate * 60));

/**
 * `rate` arrivals a second for some seconds. `lastsS` is how long one may take without a new virtual user being made,
 * which takes time in the middle of a run.
 */
export const steady = (config, { exec, rate, durationS, startS = 0, lastsS = 0.1, gracefulStop = "10s" }) => ({
  executor: "constant-arrival-rate",
  exec,
  rate: arrivals(rate),
  timeUnit: PER,
  duration: `${Math.ceil(durationS * 1000)}ms`,
  startTime: `${Math.ceil(startS * 1000)}ms`,
  preAllocatedVUs: Math.min(config.maxVus, Math.ceil(rate * lastsS) + MIN_VUS),
  maxVUs: config.maxVus,
  gracefulStop,
});

/** What all scenarios have in common. */
export const common = () => ({
  summaryTrendStats: ["count", "min", "avg", "med", "p(95)", "p(99)", "max"],
  // One connection a virtual user is what browsers do to a balancer; k6's metrics need no addresses.
  systemTags: ["status", "method", "name", "scenario", "error_code", "check", "group"],
  setupTimeout: "60s",
  userAgent: "vitrine-loadtests",
});
