// Single requests, drawn in the proportions of mix.json: the load of many sessions at a rate of one's own.

import { pageParams } from "./catalogue.js";
import { anyOf, chooser, zipfPlace } from "./sampling.js";

const shares = JSON.parse(open("../mix.json"));
delete shares.about;

export const MIX_ENDPOINTS = ["suggest", "search", "product", "similar", "categories"];

const UNREAD = { isRead: false };

/** Answers are not parsed: k6 shall spend its time on asking. */
export const mixOf = (edge, queries) => {
  const choose = chooser(shares);
  const product = ({ ids }) => ids[zipfPlace(ids.length)];
  const kinds = {
    suggest: () => {
      const q = queries.pick();
      edge.suggest(q.slice(0, 2 + Math.floor(Math.random() * Math.max(1, q.length - 1))), UNREAD);
    },
    search: () => edge.search(pageParams(queries.pick()), UNREAD),
    search_refined: ({ refined }) => edge.search(pageParams("", refined.length ? anyOf(refined) : {}), UNREAD),
    search_next_page: () => edge.search(pageParams(queries.pick(), { page: 2 }), UNREAD),
    search_sorted: ({ sorts }) =>
      edge.search(pageParams(queries.pick(), { sort: sorts.length ? anyOf(sorts) : "" }), UNREAD),
    product: (learned) => edge.product(product(learned), UNREAD),
    similar: (learned) => edge.similar(product(learned), UNREAD),
    categories: () => edge.categories(UNREAD),
  };
  return (learned) => kinds[choose()](learned);
};
