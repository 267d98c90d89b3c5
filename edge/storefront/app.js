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
  return api.pageAddress(params);
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
    dialog.append(...view.similar(await api.similar(id), open));
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
    if (answer.redirect) {
      location.assign(answer.redirect);
      return;
    }
    const banner = (answer.user_data ?? []).find((data) => data.banner)?.banner;
    at("banner").hidden = !banner;
    at("banner").textContent = banner ?? "";
    at("summary").replaceChildren(...view.understood(answer, took));
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

let suggesting = new AbortController();

const hideSuggestions = () => {
  suggesting.abort();
  at("suggestions").hidden = true;
  at("query").setAttribute("aria-expanded", "false");
};

const searchFor = (q, category) => {
  at("query").value = q;
  hideSuggestions();
  update({ q, refined: category ? { category: [category] } : {} });
};

const suggest = async () => {
  suggesting.abort();
  suggesting = new AbortController();
  const q = at("query").value;
  try {
    const found = q.trim() ? await api.suggest(q, suggesting.signal) : { suggestions: [], products: [] };
    const lines = view.suggestions(found, {
      search: searchFor,
      open: (id) => {
        hideSuggestions();
        open(id);
      },
    });
    at("suggestions").replaceChildren(...lines);
    at("suggestions").hidden = !lines.length;
    at("query").setAttribute("aria-expanded", String(lines.length > 0));
  } catch (error) {
    if (error.name !== "AbortError") hideSuggestions();
  }
};

/** Moves the choice among the suggestions by arrow keys; Enter takes it. */
const chooseByKey = (event) => {
  const lines = [...at("suggestions").children];
  const chosen = lines.findIndex((line) => line.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    hideSuggestions();
  } else if (step && lines.length && !at("suggestions").hidden) {
    event.preventDefault();
    const next = (chosen + step + lines.length + (chosen < 0 && step < 0 ? 1 : 0)) % lines.length;
    lines.forEach((line, place) => line.setAttribute("aria-selected", String(place === next)));
  } else if (event.key === "Enter") {
    if (chosen >= 0 && !at("suggestions").hidden) lines[chosen].dispatchEvent(new Event("choose"));
    else hideSuggestions();
  }
};

if (api.preview) {
  at("preview").hidden = false;
  at("preview").textContent = `Preview of ${api.preview}`;
}
at("query").value = state.q;
at("sort").value = state.sort;
at("query").addEventListener("input", (event) => {
  update({ q: event.target.value }, { replace: true });
  suggest();
});
at("query").addEventListener("keydown", chooseByKey);
at("query").addEventListener("blur", hideSuggestions);
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
