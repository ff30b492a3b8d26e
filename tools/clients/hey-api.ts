// The scenario by the client that @hey-api/openapi-ts generates.
import { client } from "./hey-api/client.gen.js";
import * as api from "./hey-api/sdk.gen.js";
import { baseUrl, headers, run } from "./scenario.ts";

client.setConfig({ baseUrl, headers });

// answer of a reply, which is in one member or the other.
function answer<D, E>(reply: { data?: D; error?: E }): D | E {
  return (reply.data ?? reply.error)!;
}

await run({
  createDestination: async (body) => answer(await api.sendCreateDestination({ body })),
  createManifest: async (body) => answer(await api.sendCreateManifest({ body })),
  waitForManifest: async (manifestId) => answer(await api.sendWaitForManifest({ path: { manifestId } })),
  createTransfer: async (body) => answer(await api.sendCreateTransfer({ body })),
  waitForTransfer: async (transferId) => answer(await api.sendWaitForTransfer({ path: { transferId } })),
  getTransfer: async (transferId) => answer(await api.sendGetTransfer({ path: { transferId } })),
}, "/from-hey-api");
