// Which query, and which of many: some are asked for far more often than others.

import { SharedArray } from "k6/data";

const MAX_QUERIES = 100000;
const MAX_QUERY_BYTES = 512;

/**
 * Lines of a file: a query; a query, a tab and its count; or a source, a query and a count that may be missing. `#`
 * begins a comment.
 */
const read = (file) => {
  const lines = open(file)
    .split(/\r?\n/)
    .filter((line) => line.trim() && !line.startsWith("#"))
    .slice(0, MAX_QUERIES);
  const rows = lines.map((line) => {
    const cells = line.split("\t");
    const [query, count] = cells.length > 2 ? cells.slice(1) : cells;
    return { query: query.trim(), count: Number(count) || 0 };
  });
  const fit = rows.filter(({ query }) => query && query.length * 3 <= MAX_QUERY_BYTES);
  if (!fit.length) throw new Error(`QUERIES: there is no query in ${file}`);
  return fit;
};

/** Counts are taken as they are where every line has one; otherwise the rank decides, as Zipf found for words. */
const weigh = (rows, exponent) => {
  const ranked = rows.slice().sort((one, other) => other.count - one.count);
  const areCounted = ranked.every(({ count }) => count > 0);
  let upTo = 0;
  return ranked.map(({ query, count }, place) => {
    upTo += areCounted ? count : 1 / (place + 1) ** exponent;
    return { query, upTo };
  });
};

/** The queries of a file, shared by all virtual users under a name. */
export const loadQueries = ({ queries, zipf }, name = "queries") => {
  const weighed = new SharedArray(name, () => weigh(read(queries), zipf));
  const { length } = weighed;
  const total = weighed[length - 1].upTo;
  const pick = () => {
    const wanted = Math.random() * total;
    let [low, high] = [0, length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (weighed[middle].upTo > wanted) high = middle;
      else low = middle + 1;
    }
    return weighed[low].query;
  };
  return { pick, length, top: (count) => weighed.slice(0, count).map(({ query }) => query) };
};

/** A place from 0 up to `length`, of which the first are likeliest: Zipf's law with exponent 1, in closed form. */
export const zipfPlace = (length) =>
  Math.min(length - 1, Math.floor(Math.exp(Math.random() * Math.log(length + 1))) - 1);

export const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

export const chance = (share) => Math.random() < share;

/** A key of `shares` (`{name: parts}`), as often as its part says. */
export const chooser = (shares) => {
  const names = Object.keys(shares).filter((name) => shares[name] > 0);
  const total = names.reduce((sum, name) => sum + shares[name], 0);
  return () => {
    let left = Math.random() * total;
    return names.find((name) => (left -= shares[name]) < 0) ?? names[0];
  };
};
