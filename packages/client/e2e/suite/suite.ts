import type { FaultyHomeserver } from "@holdfast/dev-homeserver";
import { afterAll, beforeAll, describe } from "vitest";
import { botSuite } from "./bots.ts";
import { conversationSuite } from "./conversations.ts";
import { keySuite } from "./keys.ts";
import { killSuite } from "./kills.ts";
import { messageSuite } from "./messages.ts";
import { roomSuite } from "./rooms.ts";
import { storeSuite } from "./stores.ts";
import { trustSuite } from "./trust.ts";

/** The homeserver that the suite runs on, once it has started. */
export type There = () => FaultyHomeserver;

/**
 * The client, end to end, on any homeserver: each test has users of its own,
 * and the other party is matrix-js-sdk or a bare engine.
 */
export function clientSuite(name: string, start: () => Promise<FaultyHomeserver>): void {
  describe(`on ${name}`, () => {
    let homeserver: FaultyHomeserver | undefined;
    beforeAll(async () => {
      homeserver = await start();
    });
    afterAll(() => homeserver?.stop());
    const there = (): FaultyHomeserver => {
      if (homeserver === undefined) throw new Error("the homeserver has not started");
      return homeserver;
    };
    describe("a conversation", () => conversationSuite(there));
    describe("keys", () => keySuite(there));
    describe("messages", () => messageSuite(there));
    killSuite(there);
    describe("rooms", () => roomSuite(there));
    describe("trust", () => trustSuite(there));
    describe("stores", () => storeSuite(there));
    describe("bots", () => botSuite(there));
  });
}
