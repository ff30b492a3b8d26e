// The scenario by the client that orval generates, see orval.config.cjs.
import * as api from "./orval.gen.ts";
import { run } from "./scenario.ts";

await run({
  createDestination: async (body) => (await api.sendCreateDestination(body)).data,
  createManifest: async (body) => (await api.sendCreateManifest(body)).data,
  waitForManifest: async (manifestId) => (await api.sendWaitForManifest(manifestId)).data,
  createTransfer: async (body) => (await api.sendCreateTransfer(body)).data,
  waitForTransfer: async (transferId) => (await api.sendWaitForTransfer(transferId)).data,
  getTransfer: async (transferId) => (await api.sendGetTransfer(transferId)).data,
}, "/from-orval");
