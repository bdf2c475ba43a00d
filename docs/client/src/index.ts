export * from "./client.ts";
export * from "./offline.ts";
export * from "./store.ts";
