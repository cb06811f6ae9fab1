export * from "./driver.ts";
export * from "./errors.ts";
export * from "./key-store.ts";
export * from "./logger.ts";
export * from "./records.ts";
export * from "./stats.ts";
