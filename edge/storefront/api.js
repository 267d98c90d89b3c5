// The calls that the page makes. Everything else a storefront may want to ask is in the README.

const address = new URLSearchParams(location.search);

/** The snapshot that the page shows in the place of the live one, where its address names one. */
export const preview = address.get("snapshot");
const previewKey = address.get("preview_key") ?? "";

/** An address of the page, which stays in the preview. */
export const pageAddress = (params) => {
  const all = new URLSearchParams(params);
  if (preview) {
    all.set("snapshot", preview);
    all.set("preview_key", previewKey);
  }
  return `/?${all}`;
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const json = async (path, signal) => {
  const joint = path.includes("?") ? "&" : "?";
  const response = preview
    ? await fetch(`${path}${joint}${new URLSearchParams({ snapshot: preview })}`, { signal, headers: { "X-Preview-Key": previewKey } })
    : await fetch(path, { signal });
  const body = await response.json();
  if (body.code === "preview_opening") {
    await pause(1000);
    return json(path, signal);
  }
  if (!response.ok) throw new Error(body.detail ?? response.statusText);
  return body;
};

const quote = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

const nameOf = (facet) => (/^\w+$/.test(facet) ? facet : quote(facet));

/** The page's state as the one filter grammar writes it. */
export const filterOf = ({ refined, ranges }) => {
  const parts = [];
  for (const [facet, values] of Object.entries(refined)) {
    if (values.length) parts.push(`(${values.map((value) => `${nameOf(facet)}:${quote(value)}`).join(" OR ")})`);
  }
  for (const [name, { min, max }] of Object.entries(ranges)) {
    if (min) parts.push(`${nameOf(name)}>=${min}`);
    if (max) parts.push(`${nameOf(name)}<=${max}`);
  }
  return parts.join(" AND ");
};

export const search = (state, signal) => {
  const params = new URLSearchParams({
    q: state.q,
    page: state.page,
    per_page: 24,
    sort: state.sort,
    filters: filterOf(state),
    facets: "*",
    facet_limit: 12,
    highlight: "title",
    distinct: true,
  });
  return json(`/v1/search?${params}`, signal);
};

export const suggest = (q, signal) =>
  json(`/v1/suggest?${new URLSearchParams({ q, limit: 6, products: 3, fields: "id,title,price,images" })}`, signal);

export const similar = (id) => json(`/v1/products/${encodeURIComponent(id)}/similar?limit=4`);

export const product = (id) => json(`/v1/products/${encodeURIComponent(id)}`);

export const snapshot = () => json("/v1/snapshot");
