import type { KeyStoreStats } from "@holdfast/key-store-core";
import type { Story } from "./story.ts";

/** Prints the stats of some stores, one row each. */
export function statsTable(story: Story, stores: readonly (readonly [name: string, stats: KeyStoreStats])[]): void {
  story.table(
    ["store", "status", "mode", "version", "devices", "records", "bytes", "commits", "p50", "p99", "cache hits"],
    stores.map(([name, { status, mode, engine, usage, counters }]) => [
      name,
      status.state,
      mode,
      engine === undefined ? "" : engine.version,
      usage === undefined ? "" : String(usage.devices),
      usage === undefined ? "" : String(sum(usage.collections.map((collection) => collection.records))),
      usage === undefined ? "" : String(sum(usage.collections.map((collection) => collection.bytes))),
      String(counters.commits),
      milliseconds(counters.commitLatencyMs.p50),
      milliseconds(counters.commitLatencyMs.p99),
      `${Math.round(counters.cacheHitRate * 100)} %`,
    ]),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function milliseconds(value: number): string {
  return `${value.toFixed(1)} ms`;
}
