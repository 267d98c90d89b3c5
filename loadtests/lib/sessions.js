// A shopper: types with suggestions, searches, refines, leafs, looks at products, and thinks in between.

import { sleep } from "k6";

import { pageParams, refinements } from "./catalogue.js";
import { anyOf, chance, zipfPlace } from "./sampling.js";

export const SESSION_ENDPOINTS = ["suggest", "search", "product", "similar", "categories"];

/** How long a session takes at THINK=1, roughly: enough virtual users are made for that. */
export const SESSION_S = 45;

const KEYSTROKE_S = 0.25;
const LOOK_S = 4;
const READ_S = 8;
/** Suggestions are asked for at every second letter, as a page does that waits for a pause in typing. */
const LETTERS_A_SUGGESTION = 2;
const MAX_SUGGESTIONS = 6;

const BEGINS_WITH_CATEGORIES = 0.15;
const REFINES = 0.5;
const LEAFS = 0.2;
const SORTS = 0.1;
const SEARCHES_AGAIN = 0.4;
const MAX_SEARCHES = 4;
const OPENS_ANOTHER = 0.4;
const MAX_OPENED = 4;

/** Pauses are exponential, cut at three times their mean, so that no session hangs on. */
const think = (config, meanS) => {
  const pause = Math.min(3, -Math.log(1 - Math.random())) * meanS * config.think;
  if (pause > 0) sleep(pause);
};

const type = (config, edge, query) => {
  let asked = 0;
  for (
    let length = LETTERS_A_SUGGESTION;
    length <= query.length && asked < MAX_SUGGESTIONS;
    length += LETTERS_A_SUGGESTION
  ) {
    think(config, LETTERS_A_SUGGESTION * KEYSTROKE_S);
    edge.suggest(query.slice(0, length), { isRead: false });
    asked += 1;
  }
};

const look = (config, edge, hits) => {
  for (let opened = 0; hits.length && opened < MAX_OPENED; opened += 1) {
    const { id } = hits[zipfPlace(hits.length)];
    edge.product(id);
    edge.similar(id);
    think(config, READ_S);
    if (!chance(OPENS_ANOTHER)) return;
  }
};

const browse = (config, edge, params, answer, sorts) => {
  let shown = answer;
  const choices = refinements(answer);
  let narrowed = params;
  if (choices.length && chance(REFINES)) {
    narrowed = { ...params, filters: anyOf(choices) };
    shown = edge.search(narrowed) ?? shown;
    think(config, LOOK_S);
  }
  if (sorts.length && chance(SORTS)) {
    narrowed = { ...narrowed, sort: anyOf(sorts) };
    shown = edge.search(narrowed) ?? shown;
    think(config, LOOK_S);
  }
  if (shown.found > shown.per_page && chance(LEAFS)) {
    shown = edge.search({ ...narrowed, page: 2 }) ?? shown;
    think(config, LOOK_S);
  }
  return shown;
};

export const sessionOf = (config, edge, queries) => (learned) => {
  if (chance(BEGINS_WITH_CATEGORIES)) {
    edge.categories();
    think(config, LOOK_S);
  }
  for (let searches = 0; searches < MAX_SEARCHES; searches += 1) {
    const query = queries.pick();
    type(config, edge, query);
    const params = pageParams(query);
    const answer = edge.search(params);
    if (!answer) return;
    think(config, LOOK_S);
    look(config, edge, browse(config, edge, params, answer, learned.sorts).hits);
    if (!chance(SEARCHES_AGAIN)) return;
  }
};
