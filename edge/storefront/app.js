// The page: a state in the address, an answer for it, and the view of both.

import * as api from "./api.js";
import * as view from "./view.js";

const at = (id) => document.getElementById(id);

const stateOf = (address) => {
  const params = new URLSearchParams(address);
  const parse = (name) => {
    try {
      return JSON.parse(params.get(name) ?? "{}");
    } catch {
      return {};
    }
  };
  return {
    q: params.get("q") ?? "",
    page: Number(params.get("page")) || 1,
    sort: params.get("sort") ?? "relevance",
    refined: parse("refined"),
    ranges: parse("ranges"),
  };
};

const addressOf = ({ q, page, sort, refined, ranges }) => {
  const params = new URLSearchParams();
  if (q) params.set("q", q);
  if (page > 1) params.set("page", page);
  if (sort !== "relevance") params.set("sort", sort);
  if (Object.keys(refined).length) params.set("refined", JSON.stringify(refined));
  if (Object.keys(ranges).length) params.set("ranges", JSON.stringify(ranges));
  return `?${params}`;
};

let state = stateOf(location.search);
let running = new AbortController();

const update = (change, { replace = false } = {}) => {
  state = { ...state, page: 1, ...change };
  history[replace ? "replaceState" : "pushState"](null, "", addressOf(state));
  show();
};

/** Whether one path of a hierarchy lies above another: choosing the narrower replaces the wider, and the reverse. */
const isAbove = (path, other) => other.startsWith(`${path} > `);

const toggle = (facet, value) => {
  const chosen = state.refined[facet] ?? [];
  const next = chosen.includes(value)
    ? chosen.filter((other) => other !== value)
    : [...chosen.filter((other) => !isAbove(other, value) && !isAbove(value, other)), value];
  const refined = { ...state.refined, [facet]: next };
  if (!next.length) delete refined[facet];
  update({ refined });
};

const setRange = (name, side, value) => {
  const range = { ...state.ranges[name], [side]: value };
  if (!value) delete range[side];
  const ranges = { ...state.ranges, [name]: range };
  if (!Object.keys(range).length) delete ranges[name];
  update({ ranges });
};

const complain = (error) => {
  at("summary").textContent = `That did not work: ${error.message}`;
};

const open = async (id) => {
  const dialog = at("product");
  try {
    dialog.replaceChildren(...view.details(await api.product(id), () => dialog.close()));
    if (!dialog.open) dialog.showModal();
  } catch (error) {
    complain(error);
  }
};

/** Draws the facets anew, and leaves the shopper where they were: in the same field, with what they were typing. */
const showFacets = (answer) => {
  const active = document.activeElement;
  const key = at("facets").contains(active) ? active.dataset.key : null;
  const typed = key && active.type === "number" ? active.value : null;
  at("facets").replaceChildren(...view.facets(answer, state, { toggle, setRange }));
  const again = key && [...at("facets").querySelectorAll("[data-key]")].find((field) => field.dataset.key === key);
  if (!again) return;
  if (typed !== null) again.value = typed;
  again.focus();
};

const show = async () => {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const started = performance.now();
  try {
    const answer = await api.search(state, signal);
    const took = Math.round(performance.now() - started);
    at("summary").textContent = `${answer.found.toLocaleString("en")} products in ${took} ms`;
    at("hits").replaceChildren(...answer.hits.map((product) => view.hit(product, open)));
    showFacets(answer.facets);
    at("chips").replaceChildren(...view.chips(state, { toggle, setRange }));
    at("pages").replaceChildren(...view.pages(answer, (page) => {
      update({ page });
      scrollTo({ top: 0 });
    }));
    document.documentElement.dataset.shown = answer.snapshot.id;
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
};

at("query").value = state.q;
at("sort").value = state.sort;
at("query").addEventListener("input", (event) => update({ q: event.target.value }, { replace: true }));
at("search-form").addEventListener("submit", (event) => event.preventDefault());
at("sort").addEventListener("change", (event) => update({ sort: event.target.value }));
addEventListener("popstate", () => {
  state = stateOf(location.search);
  at("query").value = state.q;
  at("sort").value = state.sort;
  show();
});
show();
const wanted = new URLSearchParams(location.search).get("id");
if (wanted) open(wanted);
api.snapshot().then(({ markets: [market] }) => {
  if (!market.id) return;
  at("footer").textContent = `${market.product_count.toLocaleString("en")} products, snapshot ${market.id}`;
  for (const option of [...at("sort").options]) {
    if (option.value !== "relevance" && !market.sorts.includes(option.value)) option.remove();
  }
}, complain);
