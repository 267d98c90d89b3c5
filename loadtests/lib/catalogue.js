// What the shop sells, asked of the shop itself before a run: no word and no id of a catalogue stands in a script.

import { edgeOf } from "./edge.js";

const MAX_PRODUCTS = 1000;
const ASKED_QUERIES = 20;
const FACET_LIMIT = 5;

/** The parameters that a storefront's result page asks with. */
export const pageParams = (q, more = {}) => ({
  q,
  per_page: 24,
  facets: "*",
  facet_limit: 12,
  highlight: "title",
  distinct: true,
  ...more,
});

const quoted = (value) => `"${value.replace(/["\\]/g, "\\$&")}"`;

const nameOf = (facet) => (/^\w+$/.test(facet) ? facet : quoted(facet));

/** Filters that leave something: one for each value that the answer counts. Numbers have ranges, not values. */
export const refinements = (answer) => {
  const all = [];
  for (const [facet, { values }] of Object.entries(answer.facets ?? {})) {
    for (const { value } of (values ?? []).slice(0, FACET_LIMIT)) {
      if (typeof value === "string") all.push(`${nameOf(facet)}:${quoted(value)}`);
    }
  }
  return all;
};

/** Ids, refinements, sort orders, and a query that finds something. Fails where there is nothing to shop for. */
export const learn = (config, queries) => {
  const edge = edgeOf(config, { isCounted: false });
  const served = edge.snapshot();
  const market = served?.markets?.find(({ id }) => id);
  if (!market) throw new Error("TARGET serves no snapshot: is it an edge, and has anything been published?");
  const [ids, refined, finding] = [new Set(), [], []];
  for (const q of queries.top(ASKED_QUERIES)) {
    const answer = edge.search(pageParams(q, { per_page: 50, fields: "id" }));
    if (answer?.found > 0) finding.push(q);
    for (const { id } of answer?.hits ?? []) if (ids.size < MAX_PRODUCTS) ids.add(id);
    for (const filters of refinements(answer ?? {}).slice(0, 2 * FACET_LIMIT)) refined.push({ q, filters });
  }
  if (!ids.size) throw new Error("none of the first queries finds a product: give QUERIES that fit the catalogue");
  return { snapshot: market.id, sorts: market.sorts ?? [], ids: [...ids], refined, query: finding[0] };
};
