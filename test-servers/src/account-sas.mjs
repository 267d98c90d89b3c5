// Prints a shared access signature of an account, good for an hour: node account-sas.mjs ACCOUNT KEY
// Signed as "Create an account SAS" of the Azure Storage REST documentation says.
import { createHmac } from "node:crypto";

const [account, key] = process.argv.slice(2);
const fields = {
  sv: "2021-12-02",
  ss: "b",
  srt: "sco",
  sp: "rwdlac",
  se: `${new Date(Date.now() + 3_600_000).toISOString().slice(0, 19)}Z`,
  spr: "https,http",
};
const { sp, ss, srt, se, spr, sv } = fields;
const text = [account, sp, ss, srt, "", se, "", spr, sv, "", ""].join("\n");
fields.sig = createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
process.stdout.write(Object.entries(fields).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&"));
