// Creates a blob container: node create-container.mjs ENDPOINT ACCOUNT KEY CONTAINER
// Signed as "Authorize with Shared Key" of the Azure Storage REST documentation says.
import { createHmac } from "node:crypto";

const [endpoint, account, key, container] = process.argv.slice(2);
const date = new Date().toUTCString();
const version = "2021-12-02";
const path = new URL(`${endpoint}/${container}`).pathname;
const text = [
  "PUT", "", "", "", "", "", "", "", "", "", "", "",
  `x-ms-date:${date}`, `x-ms-version:${version}`, `/${account}${path}`, "restype:container",
].join("\n");
const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
const response = await fetch(`${endpoint}/${container}?restype=container`, {
  method: "PUT",
  headers: { "x-ms-date": date, "x-ms-version": version, Authorization: `SharedKey ${account}:${signature}` },
});
if (!response.ok) {
  console.error(response.status, await response.text());
  process.exit(1);
}
