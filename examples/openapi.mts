// Carries a sealed folder to a peer as anna and fetches it back as ben, by a client from the peer's OpenAPI document:
// openapi.mjs PEER SEALED FETCHED, after `openapi-typescript openapi.json --output contract.d.ts` and `tsc`.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import createClient from "openapi-fetch";
import { Agent, setGlobalDispatcher } from "undici";
import type { components, paths } from "./contract.js";

const [peer, sealed, fetched] = process.argv.slice(2);
// Lists are answered as text too, to those who ask for it.
const client = createClient<paths, `application/${string}`>({ baseUrl: peer });

/** Shows the certificate for scripts in this folder from now on. */
function be(certs: string) {
  const read = (name: string) => readFileSync(`${certs}/${name}`);
  const connect = { ca: read("ca-cert.pem"), cert: read("client-cert.pem"), key: read("client-key.pem") };
  setGlobalDispatcher(new Agent({ connect }));
}

/** What was answered, unless it is a problem. */
function ok<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(`${error?.code}: ${error?.detail}`);
  return data;
}

const envelope = (path: string): components["schemas"]["Envelope"] => JSON.parse(readFileSync(path, "utf8"));
const signed = { "Content-Type": "application/vnd.dsse+json" };
const sealedBytes = { "Content-Type": "application/octet-stream" };

// Up: the offer, the chunks that are missing there, the manifest.
be("anna/certs");
const transfer_id = readFileSync(`${sealed}/transfer`, "utf8").trim();
const offer = envelope(`${sealed}/offer.dsse`);
ok(await client.PUT("/v1/offers/{transfer_id}", { params: { path: { transfer_id } }, body: offer, headers: signed }));
const ids = readdirSync(`${sealed}/chunks`);
const { missing } = ok(await client.POST("/v1/chunks/missing", { body: { ids } }));
for (const id of missing) {
  // The generated type of bytes is `string`; they go as they are.
  const bytes = readFileSync(`${sealed}/chunks/${id}`) as unknown as string;
  const raw = { headers: sealedBytes, bodySerializer: (body: unknown) => body as Buffer };
  ok(await client.PUT("/v1/chunks/{id}", { params: { path: { id } }, body: bytes, ...raw }));
}
const manifest = readdirSync(`${sealed}/manifests`)[0];
const put = await client.PUT("/v1/manifests/{id}", {
  params: { path: { id: manifest.replace(".dsse", "") } },
  body: envelope(`${sealed}/manifests/${manifest}`),
  headers: signed,
});
console.log(`sent ${missing.length} of ${ids.length} chunks: ${ok(put).result}`);

// Down: what is listed for us, its manifest byte by byte, its chunks.
be("ben/certs");
mkdirSync(`${fetched}/chunks`, { recursive: true });
mkdirSync(`${fetched}/manifests`);
const { manifests } = ok(await client.GET("/v1/manifests"));
const listed = manifests.find((entry) => entry.transfer_id === transfer_id);
if (listed === undefined) throw new Error("it is not listed");
const whole = { params: { path: { id: listed.id } }, parseAs: "text" } as const;
const text = ok(await client.GET("/v1/manifests/{id}", whole));
writeFileSync(`${fetched}/manifests/${listed.id}.dsse`, text);
const { table, chunks, sums } = JSON.parse(Buffer.from(JSON.parse(text).payload, "base64").toString());
for (const id of [...table, ...chunks, ...sums]) {
  const one = { params: { path: { id } }, parseAs: "arrayBuffer" } as const;
  writeFileSync(`${fetched}/chunks/${id}`, Buffer.from(ok(await client.GET("/v1/chunks/{id}", one))));
}
