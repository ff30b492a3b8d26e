// The scenario by the types of openapi-typescript and the client of openapi-fetch.
import createClient from "openapi-fetch";
import { baseUrl, headers, run } from "./scenario.ts";
import type { paths } from "./schema.d.ts";

const client = createClient<paths>({ baseUrl, headers });

// answer of a reply, which is in one member or the other.
function answer<D, E>(reply: { data?: D; error?: E }): D | E {
  return (reply.data ?? reply.error)!;
}

await run({
  createDestination: async (body) => answer(await client.POST("/api/v1/send/destinations", { body })),
  createManifest: async (body) => answer(await client.POST("/api/v1/send/manifests", { body })),
  waitForManifest: async (manifestId) => answer(await client.GET("/api/v1/send/manifests/{manifestId}/wait", { params: { path: { manifestId } } })),
  createTransfer: async (body) => answer(await client.POST("/api/v1/send/transfers", { body })),
  waitForTransfer: async (transferId) => answer(await client.GET("/api/v1/send/transfers/{transferId}/wait", { params: { path: { transferId } } })),
  getTransfer: async (transferId) => answer(await client.GET("/api/v1/send/transfers/{transferId}", { params: { path: { transferId } } })),
}, "/from-openapi-typescript");
