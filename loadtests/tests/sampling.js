// What the library samples, counted. A seed makes it the same every time.

import { check, randomSeed } from "k6";

import { refinements } from "../lib/catalogue.js";
import { chooser, loadQueries, zipfPlace } from "../lib/sampling.js";

const SAMPLES = 20000;
/** Five standard deviations of a share among so many samples, at the most. */
const NEAR = 0.018;

const plain = loadQueries({ queries: import.meta.resolve("./plain.txt"), zipf: 1 }, "plain");
const counted = loadQueries({ queries: import.meta.resolve("./counted.tsv"), zipf: 1 }, "counted");

export const options = { iterations: 1, thresholds: { checks: ["rate==1"] } };

const shareOf = (wanted, sample) => {
  let count = 0;
  for (let number = 0; number < SAMPLES; number += 1) if (sample() === wanted) count += 1;
  return count / SAMPLES;
};

const isNear = (share) => (actual) => Math.abs(actual - share) < NEAR;

export default () => {
  randomSeed(7);
  const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
  check(plain, { "comments and empty lines are no queries": ({ length }) => length === 4 });
  check(shareOf("first", plain.pick), { "the first query comes as often as Zipf says": isNear(1 / harmonic) });
  check(shareOf("fourth", plain.pick), { "the fourth comes a fourth as often": isNear(1 / 4 / harmonic) });
  check(shareOf("frequent", counted.pick), { "counts are taken as they are": isNear(0.9) });
  check(counted.top(1)[0], { "the most frequent is the first": (query) => query === "frequent" });
  check(
    shareOf(0, () => zipfPlace(9)),
    { "the first place is as likely as the closed form says": isNear(Math.log(2) / Math.log(10)) },
  );
  check(shareOf("a", chooser({ a: 1, b: 3, c: 0 })), { "shares are kept": isNear(0.25) });
  check(refinements({ facets: { "my color": { values: [{ value: 'a "b"' }] }, price: { values: [{ value: 3 }] } } }), {
    "filters are quoted, and numbers left out": (filters) =>
      filters.length === 1 && filters[0] === '"my color":"a \\"b\\""',
  });
};
