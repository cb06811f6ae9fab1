import { keyStoreConformance } from "@holdfast/key-store-conformance";
import { describe, inject, it } from "vitest";
import { POOLED, testDatabase } from "./server.ts";
import { postgresSubject } from "./subject.ts";

const database = testDatabase();

describe.skipIf(inject("poolerPort") === undefined)("through PgBouncer in transaction mode", () => {
  const subject = postgresSubject(database, POOLED, ({ poolerUrl }) => poolerUrl);
  for (const test of keyStoreConformance(subject, { cacheBytes: 0 })) it(test.name, test.run, test.timeoutMs);
});
