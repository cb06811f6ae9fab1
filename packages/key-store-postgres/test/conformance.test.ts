import { keyStoreConformance } from "@holdfast/key-store-conformance";
import { describe, it } from "vitest";
import { testDatabase } from "./server.ts";
import { postgresSubject, recordsRead } from "./subject.ts";

const database = testDatabase();

for (const [name, cacheBytes] of [
  ["without a cache", 0],
  ["with a cache", 1 << 20],
] as const) {
  const subject = { ...postgresSubject(database, name, ({ url }) => url), recordsRead };
  describe(name, () => {
    for (const test of keyStoreConformance(subject, { cacheBytes })) it(test.name, test.run, test.timeoutMs);
  });
}
