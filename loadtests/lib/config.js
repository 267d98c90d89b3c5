// What a run is told, from the environment. All faults are told at once.

const MAX_RATE = 100000;
const MAX_VUS_LIMIT = 20000;
const DURATION_UNITS_S = { ms: 0.001, s: 1, m: 60, h: 3600 };

const defaults = JSON.parse(open("../defaults.json"));

const faults = [];

const text = (name, fallback) => (__ENV[name] === undefined || __ENV[name] === "" ? fallback : __ENV[name]);

const number = (name, fallback, least, most) => {
  const value = Number(text(name, fallback));
  if (value >= least && value <= most) return value;
  faults.push(`${name}='${__ENV[name]}' is no number from ${least} to ${most}`);
  return fallback;
};

const choice = (name, fallback, choices) => {
  const value = text(name, fallback);
  if (choices.includes(value)) return value;
  faults.push(`${name}='${value}' is none of ${choices.join(", ")}`);
  return fallback;
};

const isUrl = (value) => /^https?:\/\/[^/\s]+(\/\S*)?$/.test(value);

const urls = (name, fallback) => {
  const values = text(name, fallback)
    .split(",")
    .map((value) => value.trim().replace(/\/+$/, ""))
    .filter(Boolean);
  const wrong = values.filter((value) => !isUrl(value));
  if (wrong.length) faults.push(`${name}: '${wrong.join("', '")}' is no address such as https://shop.example.com`);
  return values;
};

/** "1m30s" in seconds. */
const seconds = (name, fallback) => {
  const value = text(name, fallback);
  const parts = value.match(/^(\d+(\.\d+)?(ms|s|m|h))+$/) ? value.match(/\d+(\.\d+)?(ms|s|m|h)/g) : [];
  const sum = parts.reduce((total, part) => total + parseFloat(part) * DURATION_UNITS_S[part.replace(/[\d.]/g, "")], 0);
  if (sum < 1) faults.push(`${name}='${value}' is no duration of a second or more, such as 90s, 10m or 1m30s`);
  return Math.max(sum, 1);
};

/** The settings of a scenario. */
export const configure = (scenario) => {
  const { rate, duration } = defaults[scenario];
  const targets = urls("TARGET", "http://127.0.0.1:8080");
  const config = {
    targets,
    checkout: urls("CHECKOUT", targets[0])[0],
    stripeSim: urls("STRIPE_SIM", "")[0],
    mayOrder: text("ALLOW_ORDERS", "no") === "yes",
    market: text("MARKET", ""),
    rate: number("RATE", rate, 0.01, MAX_RATE),
    durationS: seconds("DURATION", duration),
    queries: text("QUERIES", import.meta.resolve("../queries/demo.txt")),
    zipf: number("ZIPF", 1, 0, 5),
    think: number("THINK", 1, 0, 10),
    maxVus: number("MAX_VUS", 500, 1, MAX_VUS_LIMIT),
    timeoutMs: number("TIMEOUT_MS", 5000, 10, 120000),
    seed: number("SEED", 1, 0, 2 ** 31),
    judgesLatency: choice("JUDGE", "all", ["all", "errors"]) === "all",
  };
  if (faults.length) throw new Error(`the settings are at fault:\n  ${faults.join("\n  ")}`);
  return config;
};
