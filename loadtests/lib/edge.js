// Questions to the edge: each is counted under its endpoint, and counts as unavailable unless it was answered soundly.

import http from "k6/http";
import exec from "k6/execution";
import { Counter, Rate, Trend } from "k6/metrics";

const unavailable = new Rate("unavailable");
const retried = new Counter("retried");
const unavailableAtS = new Trend("unavailable_at_s");

/** So long a region that did not answer is left alone, as a balancer's probes would see to. */
const AVOIDED_MS = 5000;

export const queryOf = (params) =>
  Object.entries(params)
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");

/** Counts one question's end, after whatever tries it took. */
export const judge = (tags, isAnswered) => {
  unavailable.add(!isAnswered, tags);
  if (!isAnswered) unavailableAtS.add(exec.instance.currentTestRunDuration / 1000, tags);
};

const parsed = (response) => {
  try {
    return response.json();
  } catch (_) {
    return null;
  }
};

const hasFailed = (response) => response.status === 0 || response.status >= 500;

/**
 * The edge of a run. What is asked with `isCounted: false` prepares a run, and is told apart. With several addresses
 * each virtual user has one of its own, and asks another once where that does not answer: what a balancer before
 * several regions does with a GET.
 */
export const edgeOf = (config, { isCounted = true } = {}) => {
  const avoidedUntil = config.targets.map(() => 0);
  const ordered = () => {
    const own = exec.vu.idInTest % config.targets.length;
    const places = config.targets.map((_, step) => (own + step) % config.targets.length);
    const now = Date.now();
    return [
      ...places.filter((place) => avoidedUntil[place] <= now),
      ...places.filter((place) => avoidedUntil[place] > now),
    ];
  };
  const send = (place, path, endpoint, isRead) =>
    http.get(config.targets[place] + path, {
      tags: { endpoint, name: endpoint },
      responseType: isRead ? "text" : "none",
      timeout: config.timeoutMs,
    });
  /** The answer's JSON (`true` where it is not read), or null. */
  const ask = (name, path, params = {}, { isRead = true } = {}) => {
    const endpoint = isCounted ? name : "preparing";
    const query = queryOf({ ...params, market: config.market });
    const address = query ? `${path}?${query}` : path;
    const places = ordered();
    let response = send(places[0], address, endpoint, isRead);
    if (hasFailed(response) && places.length > 1) {
      avoidedUntil[places[0]] = Date.now() + AVOIDED_MS;
      retried.add(1, { endpoint });
      response = send(places[1], address, endpoint, isRead);
    }
    const answer = response.status === 200 ? (isRead ? parsed(response) : true) : null;
    if (isCounted) judge({ endpoint, service: "edge" }, answer !== null);
    return answer;
  };
  const id = (product) => encodeURIComponent(product);
  return {
    search: (params, options) => ask("search", "/v1/search", params, options),
    suggest: (q, options) =>
      ask("suggest", "/v1/suggest", { q, limit: 6, products: 3, fields: "id,title,price,images" }, options),
    product: (product, options) => ask("product", `/v1/products/${id(product)}`, {}, options),
    products: (ids, options) =>
      ask("products", "/v1/products", { ids: ids.join(","), fields: "id,title,price" }, options),
    similar: (product, options) => ask("similar", `/v1/products/${id(product)}/similar`, { limit: 4 }, options),
    categories: (options) => ask("categories", "/v1/categories", {}, options),
    snapshot: (options) => ask("snapshot", "/v1/snapshot", {}, options),
  };
};
