// What orval makes of the document: a client by fetch, and checks of bodies by zod.
const input = "../../openapi.yaml";
export default {
  client: { input, output: { target: "../build/orval/client.ts", client: "fetch", mode: "single" } },
  checks: { input, output: { target: "../build/orval/checks.ts", client: "zod", mode: "single" } },
};
