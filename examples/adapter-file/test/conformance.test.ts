import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConformanceSubject, keyStoreConformance } from "@holdfast/key-store-conformance";
import { afterAll, describe, expect, it } from "vitest";
import { FileKeyStore, fileDriver } from "../src/index.ts";

const scratch = mkdtempSync(join(tmpdir(), "holdfast-example-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const subject: ConformanceSubject = {
  async create() {
    const path = join(mkdtempSync(join(scratch, "place-")), "keys");
    return {
      open: (options) => new FileKeyStore(path, options),
      driver: () => fileDriver(path),
      dispose: async () => {},
    };
  },
  unavailable: (options) => new FileKeyStore(join(scratch, "no such directory/keys"), options),
};

// The records are in memory already: there is nothing for a cache to do.
describe("the example adapter", () => {
  for (const test of keyStoreConformance(subject, { cacheBytes: 0 })) it(test.name, test.run, test.timeoutMs);
});

it("the example adapter reports a damaged file, and keeps it", async () => {
  const path = join(scratch, "damaged");
  const device = { userId: "@bot:example.org", deviceId: "BOT" };
  {
    await using store = new FileKeyStore(path);
    await store.init();
    await (await store.openDevice(device))?.close();
  }
  const damaged = Buffer.from(readFileSync(path));
  damaged[100] = (damaged[100] ?? 0) ^ 1;
  writeFileSync(path, damaged);
  await using store = new FileKeyStore(path);
  expect(await store.init()).toBe(false);
  expect(store.status).toMatchObject({ state: "unavailable", code: "ERR_KEY_STORE_CORRUPT" });
  expect(readFileSync(path).equals(damaged)).toBe(true);
});
