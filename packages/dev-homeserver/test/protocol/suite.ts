import { afterAll, beforeAll, describe } from "vitest";
import type { TestHomeserver } from "../../src/index.ts";
import { accountDataSuite } from "./account-data.ts";
import { World } from "./actors.ts";
import { backupSuite } from "./backups.ts";
import { crossSigningSuite } from "./cross-signing.ts";
import { historySuite } from "./history.ts";
import { keySuite } from "./keys.ts";
import { mediaSuite } from "./media.ts";
import { membershipSuite } from "./memberships.ts";
import { roomSuite } from "./rooms.ts";
import { sessionSuite } from "./sessions.ts";
import { syncSuite } from "./sync.ts";
import { toDeviceSuite } from "./to-device.ts";

export { faultSuite } from "./faults.ts";

/**
 * What a client counts on with any homeserver, by plain requests. It runs
 * against the development homeserver and against real ones, so that the first
 * is held to the habits of the others.
 */
export function protocolSuite(name: string, start: () => Promise<TestHomeserver>): void {
  describe(name, () => {
    let world: World | undefined;
    beforeAll(async () => {
      world = new World(await start());
    });
    afterAll(() => world?.server.stop());
    const there = (): World => {
      if (world === undefined) throw new Error("the homeserver has not started");
      return world;
    };
    describe("sessions", () => sessionSuite(there));
    describe("account data", () => accountDataSuite(there));
    describe("backups of room keys", () => backupSuite(there));
    describe("device keys", () => keySuite(there));
    describe("cross-signing keys", () => crossSigningSuite(there));
    describe("to-device messages", () => toDeviceSuite(there));
    describe("sync", () => syncSuite(there));
    describe("memberships", () => membershipSuite(there));
    describe("rooms", () => roomSuite(there));
    describe("history", () => historySuite(there));
    describe("media", () => mediaSuite(there));
  });
}
