// Shows that the types which openapi-typescript generates from openapi.json
// work with a client of fetch: sends the caller's /reel to another server. The
// test that runs it puts the generated schema.d.ts beside it.
//
// It reads JETSTREAM_URL, JETSTREAM_USER, JETSTREAM_PASSWORD and
// JETSTREAM_DESTINATION (host:port of the receiver, whose user bob has the same
// password), and prints the transfer's id and bytes.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

const { JETSTREAM_URL, JETSTREAM_USER, JETSTREAM_PASSWORD = "", JETSTREAM_DESTINATION = "" } = process.env;
const client = createClient<paths>({
  baseUrl: JETSTREAM_URL,
  headers: { Authorization: "Basic " + Buffer.from(JETSTREAM_USER + ":" + JETSTREAM_PASSWORD).toString("base64") },
});

// result of a reply; a failure ends the program with the server's sentence.
function result<T>(reply: { data?: { result: T }; error?: components["schemas"]["Failure"] }): T {
  if (!reply.data) {
    throw new Error(`${reply.error?.status}: ${reply.error?.message}`);
  }
  return reply.data.result;
}

const destination = result(await client.POST("/api/v1/send/destinations", { body: { destinationAddress: JETSTREAM_DESTINATION } }));
const manifest = result(await client.POST("/api/v1/send/manifests", { body: { fileMappings: { "/reel": "/reel" } } }));
const { manifestId } = manifest;
const built = result(await client.GET("/api/v1/send/manifests/{manifestId}/wait", { params: { path: { manifestId } } }));
if (built.processing) {
  throw new Error("the manifest is not built yet");
}
const transfer = result(await client.POST("/api/v1/send/transfers", {
  body: { manifestId, destinationId: destination.destinationId, username: "bob", password: JETSTREAM_PASSWORD, destinationPath: "/from-typescript" },
}));
const { transferId } = transfer;
const done = result(await client.GET("/api/v1/send/transfers/{transferId}/wait", { params: { path: { transferId } } }));
if (done.status !== "complete") {
  throw new Error(`the transfer is ${done.status}: ${done.errorMessage}`);
}

// A failure is as typed as a success.
const gone = await client.GET("/api/v1/send/transfers/{transferId}", { params: { path: { transferId: "0".repeat(32) } } });
if (gone.error?.status !== "notFound") {
  throw new Error(`a transfer that is not there: ${gone.error?.status}`);
}
console.log(done.transferId, done.bytesSent);
