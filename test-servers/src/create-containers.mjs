// Creates a blob container in each account: node create-containers.mjs ADDRESS CONTAINER ACCOUNT KEY [ACCOUNT KEY]...
// Signed as "Authorize with Shared Key" of the Azure Storage REST documentation says.
import { createHmac } from "node:crypto";

const [address, container, ...accounts] = process.argv.slice(2);
const version = "2021-12-02";

async function create(account, key) {
  const date = new Date().toUTCString();
  const text = [
    "PUT", "", "", "", "", "", "", "", "", "", "", "",
    `x-ms-date:${date}`, `x-ms-version:${version}`, `/${account}/${account}/${container}`, "restype:container",
  ].join("\n");
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
  const response = await fetch(`${address}/${account}/${container}?restype=container`, {
    method: "PUT",
    headers: { "x-ms-date": date, "x-ms-version": version, Authorization: `SharedKey ${account}:${signature}` },
  });
  if (!response.ok) {
    console.error(account, response.status, await response.text());
    process.exit(1);
  }
}

for (let at = 0; at < accounts.length; at += 2) await create(accounts[at], accounts[at + 1]);
