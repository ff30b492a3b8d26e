// What each generated client does: it sends the caller's /reel to another server,
// and asks for what is not there.
import type { components } from "./schema.d.ts";

type Failure = components["schemas"]["Failure"];

// Answer is a reply of the server, which every generator types in its own way.
export type Answer<T> = { status: "success"; result: T } | Failure;

// Api is what the scenario calls, carried out by a generated client.
export interface Api {
  createDestination(body: { destinationAddress: string }): Promise<Answer<{ destinationId: string }>>;
  createManifest(body: { fileMappings: Record<string, string> }): Promise<Answer<{ manifestId: string }>>;
  waitForManifest(manifestId: string): Promise<Answer<{ processing: boolean }>>;
  createTransfer(body: {
    manifestId: string; destinationId: string; username: string; password: string; destinationPath: string;
  }): Promise<Answer<{ transferId: string }>>;
  waitForTransfer(transferId: string): Promise<Answer<{ transferId: string; status: string; errorMessage: string; bytesSent: number }>>;
  getTransfer(transferId: string): Promise<Answer<object>>;
}

const { JETSTREAM_URL = "", JETSTREAM_USER, JETSTREAM_PASSWORD = "", JETSTREAM_DESTINATION = "" } = process.env;

// The server, and the header that logs in there.
export const baseUrl = JETSTREAM_URL;
export const headers = { Authorization: "Basic " + Buffer.from(JETSTREAM_USER + ":" + JETSTREAM_PASSWORD).toString("base64") };

// result of an answer; a failure ends the program with the server's sentence.
function result<T>(answer: Answer<T>): T {
  if (answer.status !== "success") {
    throw new Error(`${answer.status}: ${answer.message}`);
  }
  return answer.result;
}

// run sends /reel to JETSTREAM_DESTINATION (host:port of the receiver, whose user
// bob has the caller's password), below destinationPath, and prints the transfer's
// id and bytes.
export async function run(api: Api, destinationPath: string): Promise<void> {
  const { destinationId } = result(await api.createDestination({ destinationAddress: JETSTREAM_DESTINATION }));
  const { manifestId } = result(await api.createManifest({ fileMappings: { "/reel": "/reel" } }));
  if (result(await api.waitForManifest(manifestId)).processing) {
    throw new Error("the manifest is not built yet");
  }
  const { transferId } = result(await api.createTransfer({ manifestId, destinationId, username: "bob", password: JETSTREAM_PASSWORD, destinationPath }));
  const done = result(await api.waitForTransfer(transferId));
  if (done.status !== "complete") {
    throw new Error(`the transfer is ${done.status}: ${done.errorMessage}`);
  }
  const gone = await api.getTransfer("0".repeat(32));
  if (gone.status !== "notFound") { // a failure is as typed as a success
    throw new Error(`a transfer that is not there: ${gone.status}`);
  }
  console.log(done.transferId, done.bytesSent);
}
