export { type DevHomeserver, type DevHomeserverOptions, startDevHomeserver } from "./homeserver.ts";
export type { Call, Content, Middleware, Outcome, Reply } from "./http/call.ts";
export type { JsonObject } from "./http/json.ts";
export { withFaults } from "./proxy/proxy.ts";
export type { Device } from "./state/accounts.ts";
export type { FaultyHomeserver, TestHomeserver } from "./test-homeserver.ts";
