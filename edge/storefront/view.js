// What is drawn. Titles arrive escaped from the service with <mark> around what matched; all other text is set as text.

import { pageAddress } from "./api.js";

// What a product without a picture shows: nothing, rather than a sign that one is missing.
const NO_PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

export const element = (name, properties = {}, ...children) => {
  const { data = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(name), rest);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child instanceof Node || typeof child === "string"));
  return made;
};

const money = ({ amount_minor, currency }) => {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount_minor / 10 ** format.resolvedOptions().maximumFractionDigits);
};

const stock = { preorder: "Preorder", backorder: "On backorder", out_of_stock: "Out of stock" };

const prices = (product) => [
  product.price && element("span", { className: "price", textContent: money(product.price) }),
  product.list_price && element("span", { className: "was", textContent: money(product.list_price) }),
  product.rating > 0 && element("span", { className: "stars", textContent: `★ ${product.rating} (${product.rating_count})` }),
];

const picture = (product) =>
  element("img", { src: product.images?.[0] ?? NO_PICTURE, alt: "", loading: "lazy", width: 200, height: 200 });

export const hit = (product, open) => {
  const title = element("h2");
  title.innerHTML = product.highlight?.title ?? "";
  const card = element(
    "div",
    { className: "card" },
    product.brand ? element("div", { className: "maker", textContent: product.brand }) : null,
    title,
    stock[product.availability] ? element("div", { className: "note", textContent: stock[product.availability] }) : null,
    product.variants ? element("div", { className: "lacks", textContent: `${product.variants.length + 1} variants` }) : null,
    product.missing ? element("div", { className: "lacks", textContent: `without: ${product.missing.join(", ")}` }) : null,
    element("div", { className: "foot" }, ...prices(product)),
  );
  const link = element("a", { href: pageAddress({ id: product.id }) }, picture(product), card);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(product.id);
  });
  return element("li", { data: { id: product.id } }, link);
};

/** What the answer says about the query: what was understood, and what was left out. */
export const understood = ({ found, query }, took) => {
  const count = `${found.toLocaleString("en")} products in ${took} ms`;
  const corrected = query.corrected ? [" for ", element("strong", { textContent: query.corrected })] : [];
  const dropped = query.dropped.length ? [`; without: ${query.dropped.join(", ")}`] : [];
  return [count, ...corrected, ...dropped];
};

/** The lines below the search box: texts to search for, in all of the shop or in a category, and products. */
export const suggestions = ({ suggestions: texts, products }, { search, open }) => {
  const line = (content, act) => {
    const made = element("li", { role: "option", tabIndex: -1 }, ...content);
    made.addEventListener("mousedown", (event) => {
      event.preventDefault();
      act();
    });
    made.addEventListener("choose", act);
    return made;
  };
  const text = ({ text: wanted, highlight, scopes }) => {
    const label = element("span");
    label.innerHTML = highlight;
    const inside = scopes.length > 1 ? scopes : [];
    return [
      line([label], () => search(wanted)),
      ...inside.map(({ category, count }) =>
        line([element("span", { className: "scope", textContent: `in ${category}` }), element("span", { className: "count", textContent: count })],
          () => search(wanted, category))),
    ];
  };
  const product = (one) =>
    line([element("img", { src: one.images?.[0] ?? NO_PICTURE, alt: "", width: 32, height: 32 }),
      element("span", { textContent: one.title }),
      one.price ? element("span", { className: "count", textContent: money(one.price) }) : null], () => open(one.id));
  return [...texts.flatMap(text), ...products.map(product)];
};

export const similar = ({ products }, open) => {
  if (!products.length) return [];
  const cards = products.map((product) => hit({ ...product, highlight: { title: escaped(product.title) } }, open));
  return [element("h3", { textContent: "Similar products" }), element("ol", { className: "cards" }, ...cards)];
};

const escaped = (text) => element("span", { textContent: text }).innerHTML;

const labelOf = (name) => name.replaceAll("_", " ");

const valueFacet = (name, { values }, chosen, toggle) => {
  const known = new Set(values.map(({ value }) => value));
  const all = [...chosen.filter((value) => !known.has(value)).map((value) => ({ value, count: 0 })), ...values];
  const rows = all.map(({ value, count }) => {
    const box = element("input", { type: "checkbox", checked: chosen.includes(value), data: { key: `${name}=${value}` } });
    box.addEventListener("change", () => toggle(name, value));
    const levels = value.split(" > ");
    const text = element("span", { textContent: name === "category" ? levels.at(-1) : value, title: value });
    if (name === "category") text.style.paddingLeft = `${(levels.length - 1) * 0.9}rem`;
    return element("label", {}, box, text, element("span", { className: "count", textContent: count.toLocaleString("en") }));
  });
  if (name === "category") rows.sort((a, b) => a.children[1].title.localeCompare(b.children[1].title));
  return rows;
};

const rangeFacet = (name, { stats }, range, setRange) => {
  const input = (side) => {
    const box = element("input", {
      type: "number", step: "any", value: range?.[side] ?? "", placeholder: String(stats[side]), data: { key: `${name}.${side}` },
      ariaLabel: `${labelOf(name)}, ${side}`,
    });
    box.addEventListener("change", () => setRange(name, side, box.value));
    return box;
  };
  return [element("div", { className: "range" }, input("min"), "–", input("max"))];
};

export const facets = (answer, state, { toggle, setRange }) =>
  Object.entries(answer).flatMap(([name, facet]) => {
    const rows = facet.stats
      ? rangeFacet(name, facet, state.ranges[name], setRange)
      : valueFacet(name, facet, state.refined[name] ?? [], toggle);
    if (!rows.length) return [];
    return [element("fieldset", { data: { facet: name } }, element("legend", { textContent: labelOf(name) }), ...rows)];
  });

export const chips = (state, { toggle, setRange }) => {
  const chip = (text, remove) => {
    const button = element("button", { type: "button", textContent: `${text} ×` });
    button.addEventListener("click", remove);
    return button;
  };
  const values = Object.entries(state.refined).flatMap(([facet, chosen]) =>
    chosen.map((value) => chip(value, () => toggle(facet, value))));
  const ranges = Object.entries(state.ranges).flatMap(([name, range]) =>
    ["min", "max"].filter((side) => range[side]).map((side) =>
      chip(`${labelOf(name)} ${side === "min" ? "from" : "to"} ${range[side]}`, () => setRange(name, side, ""))));
  return [...values, ...ranges];
};

export const pages = ({ found, page, per_page }, go) => {
  const last = Math.min(Math.ceil(found / per_page), Math.floor(10000 / per_page));
  const wanted = [...new Set([1, page - 2, page - 1, page, page + 1, page + 2, last])].filter((n) => n >= 1 && n <= last);
  if (last < 2) return [];
  const button = (text, target, current = false) => {
    const made = element("button", { type: "button", textContent: text, disabled: target < 1 || target > last });
    if (current) made.setAttribute("aria-current", "page");
    made.addEventListener("click", () => go(target));
    return made;
  };
  return [button("‹", page - 1), ...wanted.map((n) => button(String(n), n, n === page)), button("›", page + 1)];
};

export const details = (product, close) => {
  const closer = element("button", { type: "button", className: "close", textContent: "Close" });
  closer.addEventListener("click", close);
  const facts = element("dl");
  const fact = (name, value) => value && facts.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  fact("Article", product.sku ?? product.id);
  fact("Category", product.category?.join(" › "));
  for (const [name, value] of Object.entries(product.attributes ?? {})) fact(labelOf(name), [value].flat().join(", "));
  const text = element(
    "div", {},
    element("h2", { textContent: product.title }),
    element("div", { className: "foot" }, ...prices(product)),
    element("p", { textContent: product.description ?? "" }),
    facts,
  );
  return [closer, element("div", { className: "two" }, picture(product), text)];
};
