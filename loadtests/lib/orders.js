// A purchase: a cart, a checkout with the total that the shopper saw, and the payment. Whoever gets no answer asks
// again with the same key, so that nothing is bought twice.

import http from "k6/http";
import { sleep } from "k6";
import { Counter, Rate, Trend } from "k6/metrics";

import { judge } from "./edge.js";
import { chance } from "./sampling.js";

const MAX_TRIES = 4;
const FIRST_PAUSE_S = 0.2;
const PAID_WITHIN_S = 30;
const ASK_EVERY_S = 0.25;
const DECLINED_FIRST = 0.05;

/** How purchases ended: paid, cancelled, sold_out, repriced, unpaid, unanswered. */
const purchases = new Counter("purchases");
/** Whether a purchase came to an end that the shop means. */
const settled = new Rate("purchase_settled");
const orderPaidS = new Trend("order_paid_s");

const MEANT = ["paid", "cancelled", "sold_out"];

export const OUTCOMES = [...MEANT, "repriced", "unpaid", "unanswered"];

/** The fields of a UUID of version 4 are random but for six bits. */
const uuid = () =>
  "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => Math.floor(Math.random() * 16).toString(16));

const isFinal = (response) =>
  response.status !== 0 &&
  response.status < 500 &&
  response.status !== 429 &&
  !/"idempotency_key_in_flight"/.test(response.body);

/** Sends until there is an answer, always with the same key. */
const call = (config, method, path, endpoint, { body = null, token = null } = {}) => {
  const headers = { "Content-Type": "application/json" };
  if (method === "POST") headers["Idempotency-Key"] = uuid();
  if (token) headers.Authorization = `Bearer ${token}`;
  const params = {
    headers,
    tags: { endpoint, name: endpoint },
    timeout: config.timeoutMs,
    responseType: "text",
    responseCallback: http.expectedStatuses({ min: 200, max: 299 }, 409),
  };
  let response;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    response = http.request(method, `${config.checkout}/checkout/v1${path}`, body && JSON.stringify(body), params);
    if (isFinal(response)) break;
    sleep(FIRST_PAUSE_S * 2 ** tries * (0.5 + Math.random()));
  }
  const isAnswered = isFinal(response) && (response.status < 300 || response.status === 409);
  judge({ endpoint, service: "checkout" }, isAnswered);
  return isAnswered ? { status: response.status, body: response.json() } : null;
};

/** The simulator plays the shopper who types a card's number. */
const pay = (config, clientSecret, method) => {
  const intent = clientSecret.split("_secret_")[0];
  const response = http.post(
    `${config.stripeSim}/sim/payment_intents/${intent}/pay`,
    JSON.stringify({ payment_method: method }),
    {
      tags: { endpoint: "stripe-sim", name: "stripe-sim" },
      timeout: config.timeoutMs,
      responseCallback: http.expectedStatuses(200, 402),
    },
  );
  return response.status === 200;
};

const waitUntilPaid = (config, order, token) => {
  const began = Date.now();
  while (Date.now() - began < PAID_WITHIN_S * 1000) {
    const state = call(config, "GET", `/orders/${order}`, "order", { token });
    if (state?.body.order.state === "paid") {
      orderPaidS.add((Date.now() - began) / 1000);
      return "paid";
    }
    sleep(ASK_EVERY_S);
  }
  return "unpaid";
};

const secretOf = (config, checkout, token, completed) => {
  let payment = completed.body.payment;
  for (let waited = 0; !payment?.client_secret && waited < PAID_WITHIN_S; waited += ASK_EVERY_S) {
    sleep(ASK_EVERY_S);
    payment = call(config, "GET", `/checkouts/${checkout}`, "checkout", { token })?.body.payment;
  }
  return payment?.client_secret;
};

const complete = (config, { checkout, token }) => {
  const completed = call(config, "POST", `/checkouts/${checkout.id}/complete`, "complete", { token });
  if (!completed || completed.status === 409) return "unanswered";
  if (!config.stripeSim) {
    const cancelled = call(config, "POST", `/checkouts/${checkout.id}/cancel`, "cancel_checkout", { token });
    return cancelled && cancelled.status < 300 ? "cancelled" : "unanswered";
  }
  const secret = secretOf(config, checkout.id, token, completed);
  if (!secret) return "unpaid";
  if (chance(DECLINED_FIRST)) pay(config, secret, "pm_card_chargeDeclined");
  if (!pay(config, secret, "pm_card_visa")) return "unpaid";
  return waitUntilPaid(config, completed.body.order.id, token);
};

/** Buys one of each product, at the price that was shown; once more where the shop says that this has changed. */
const buy = (config, products) => {
  const lines = products.map(({ id }) => ({ product: id, quantity: 1 }));
  const cart = call(config, "POST", "/carts", "carts", { body: { lines } });
  if (!cart) return "unanswered";
  const { currency } = products[0].price;
  let total = { amount_minor: products.reduce((sum, { price }) => sum + price.amount_minor, 0), currency };
  for (let tries = 0; tries < 2; tries += 1) {
    const begun = call(config, "POST", "/checkouts", "checkouts", {
      body: { cart: cart.body.cart.id, expected_total: total, email: "load@example.com" },
    });
    if (!begun) return "unanswered";
    if (begun.status < 300) return complete(config, begun.body);
    if (begun.body.code === "sold_out") return "sold_out";
    if (begun.body.code !== "total_changed") return "unanswered";
    total = begun.body.total;
  }
  return "repriced";
};

export const purchase = (config, products) => {
  const outcome = buy(config, products);
  purchases.add(1, { outcome });
  settled.add(MEANT.includes(outcome));
};
