// How orval makes a client: functions that call fetch by way of orval-fetch.ts.
module.exports = {
  jetstream: {
    input: "./openapi.json",
    output: {
      target: "./orval.gen.ts",
      client: "fetch",
      override: { mutator: { path: "./orval-fetch.ts", name: "call", extension: ".ts" } },
    },
  },
};
