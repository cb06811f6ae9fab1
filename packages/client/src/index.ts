export { waitUntilReady } from "@holdfast/key-store-core";
export type { AtRest } from "./config/at-rest.ts";
export type { Environment } from "./config/variables.ts";
export type { OlmEngine } from "./engine/olm-engine.ts";
export { type OpenOlmMachineOptions, openOlmMachine } from "./engine/open-olm-machine.ts";
export { type KeyStoreFromEnv, type KeyStoreFromEnvOptions, keyStoreFromEnv } from "./key-store-from-env.ts";
