// Sees when a newer snapshot is served, and how old its announcement is then.

import { sleep } from "k6";
import { Counter, Trend } from "k6/metrics";

const LOOK_EVERY_S = 0.2;

const freshnessS = new Trend("freshness_s");
const snapshotsSeen = new Counter("snapshots_seen");

let newest = null;

/** One virtual user's work, over and over. Ages are whole seconds, rounded down by the edge. */
export const watch = (edge) => {
  const market = edge.snapshot()?.markets?.find(({ id }) => id);
  if (market && newest !== null && market.sequence > newest) {
    freshnessS.add(market.age_s);
    snapshotsSeen.add(1);
  }
  if (market) newest = Math.max(newest ?? 0, market.sequence);
  sleep(LOOK_EVERY_S);
};

export const watcher = (durationS) => ({
  executor: "constant-vus",
  exec: "observe",
  vus: 1,
  duration: `${Math.ceil(durationS * 1000)}ms`,
  gracefulStop: "5s",
});
