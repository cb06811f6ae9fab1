import { type CallMatcher, type FaultHandle, holdRequest, holdResponse } from "@holdfast/dev-homeserver/faults";
import type { HomeserverClient, Party } from "@holdfast/dev-homeserver/party";
import { describe, expect, it } from "vitest";
import { Child } from "../support/child.ts";
import { expectNoKeyTwice, uploadedKeys } from "../support/no-key-twice.ts";
import { Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

const SEND = "/send/{eventType}/{txnId}";
const SYNC = "/sync";
const BOTH = ["request", "response"] as const;
const hold = (what: (typeof BOTH)[number]) => (what === "request" ? holdRequest() : holdResponse());

/** Our device, another, and an encrypted room of both. */
async function pair(stage: Stage) {
  const [device, other] = [await stage.device("ours"), await stage.device("other")];
  const party = await stage.party(other);
  return { device, party, roomId: await stage.room([other, device]) };
}

/** The texts in a room, as another device reads the homeserver's history; each event is there once. */
async function texts(party: Party, roomId: string): Promise<unknown[]> {
  await party.sync();
  const events = await party.history(roomId);
  return events.map((event) => (event.kind === "undecryptable" ? event.code : event.content.body)).toSorted();
}

/** What the other device reads in the end, whatever became of the first life. */
async function untilThereIs(party: Party, roomId: string, expected: readonly string[]): Promise<void> {
  await expect.poll(() => texts(party, roomId)).toEqual(expected);
}

export function killSuite(there: There): void {
  describe("a process that is killed while it sends", () => {
    const steps: readonly (readonly [string, CallMatcher])[] = [
      ["asks for the members", { path: "/members" }],
      ["asks for their devices", { path: "/keys/query" }],
      ["claims one-time keys", { path: "/keys/claim" }],
      ["shares the room key", { path: "/sendToDevice/{eventType}/{txnId}" }],
      ["sends the message", { path: SEND }],
    ];
    const cases = steps.flatMap(([step, call]) => BOTH.map((what) => ({ step, call, what })));
    it.each(cases)("as it $step, at the $what: the message is sent once, and read", async ({ call, what }) => {
      await using stage = await Stage.on(there());
      const { device, party, roomId } = await pair(stage);
      const child = new Child(stage, device);
      const { ed25519 } = await child.connected();
      const { userId } = device.credentials;
      const fault = stage.homeserver.faults.next({ ...call, userId }, hold(what));
      const ask = { roomId, body: "once", transactionId: "the only one" };
      child.ask(ask);
      await child.unlessEnded(() => fault.fired());
      await child.kill();
      fault.remove();

      const again = await stage.ours(device);
      expect(again.client.identity?.ed25519).toBe(ed25519);
      // What a program does that does not know whether its message was sent.
      await again.client.sendText(roomId, ask.body, { transactionId: ask.transactionId });
      await again.say(roomId, "and on");
      await untilThereIs(party, roomId, ["and on", "once"]);
      expectNoKeyTwice(stage);
    });
  });

  describe("a process that is killed while it receives", () => {
    it.each(BOTH)("as it uploads its first keys, at the %s: one device remains, with keys that work", async (what) => {
      await using stage = await Stage.on(there());
      const { device, party, roomId } = await pair(stage);
      const { userId } = device.credentials;
      const fault = stage.homeserver.faults.next({ path: "/keys/upload", userId }, hold(what));
      const child = new Child(stage, device);
      await child.unlessEnded(() => fault.fired());
      await child.kill();
      fault.remove();
      const again = await stage.ours(device);
      await party.sync();
      await party.sendText(roomId, "to new keys");
      await again.until(() => again.bodies.includes("to new keys"));
      // What was offered before is not offered again: somebody may have claimed it.
      const names = await uploadedKeys(stage, userId, 2);
      expect(names).toEqual([...new Set(names)]);
      const { userId: us, deviceId } = device.credentials;
      const shown = await party.client.call("POST", "/keys/query", { device_keys: { [us]: [deviceId] } });
      expect(JSON.stringify(shown)).toContain(String(again.client.identity?.ed25519));
      expectNoKeyTwice(stage);
    });

    const moments: readonly {
      readonly name: string;
      readonly onMessage?: "answer" | "hang";
      /** Lets the message come, and resolves at the moment of the kill. */
      readonly reach: (scene: Scene) => Promise<FaultHandle | undefined>;
    }[] = [
      {
        name: "as it asks for the sync that would bring a message",
        reach: async ({ nextSync, come }) => {
          const fault = await nextSync("request");
          await fault.fired();
          await come();
          return fault;
        },
      },
      {
        name: "while the sync that brings a message is on its way",
        reach: async ({ nextSync, come }) => {
          const fault = await nextSync("response");
          await come();
          await fault.fired();
          return fault;
        },
      },
      {
        name: "as it acknowledges the sync that brought a room key",
        onMessage: "hang",
        reach: async ({ stage, device, come }) => {
          const sync = { path: SYNC, userId: device.credentials.userId };
          const { faults, journal } = stage.homeserver;
          await expect.poll(() => journal.entries(sync).at(-1)?.outcome).toBe(undefined);
          const fault = faults.next(sync, holdRequest());
          await come();
          await fault.fired();
          return fault;
        },
      },
      {
        name: "while its handler works on a message",
        onMessage: "hang",
        reach: async ({ come, child }) => {
          await come();
          await child.until("reading");
          return undefined;
        },
      },
      ...BOTH.map((what) => ({
        name: `as it replaces the one-time key that a message came by, at the ${what}`,
        reach: async ({ stage, device, come, child }: Scene) => {
          const { userId } = device.credentials;
          const fault = stage.homeserver.faults.next({ path: "/keys/upload", userId }, hold(what));
          await come();
          await child.unlessEnded(() => fault.fired());
          return fault;
        },
      })),
      ...BOTH.map((what) => ({
        name: `as its handler answers a message, at the ${what}`,
        reach: async ({ stage, device, come, child }: Scene) => {
          const { userId } = device.credentials;
          const fault = stage.homeserver.faults.next({ path: SEND, userId }, hold(what));
          await come();
          await child.unlessEnded(() => fault.fired());
          return fault;
        },
      })),
    ];

    it.each(moments)("$name: it is read, and answered once", async ({ onMessage, reach }) => {
      await using stage = await Stage.on(there());
      const { device, party, roomId } = await pair(stage);
      const child = new Child(stage, device, { onMessage: onMessage ?? "answer" });
      await child.connected();
      const { userId } = device.credentials;
      await party.sync();
      let events = 0;
      const nextSync = async (what: (typeof BOTH)[number]): Promise<FaultHandle> => {
        const fault = stage.homeserver.faults.next({ path: SYNC, userId }, hold(what));
        // Something that needs no key ends the sync that waits now.
        events += 1;
        const topic = `/rooms/${encodeURIComponent(roomId)}/state/m.room.topic/`;
        await party.client.call("PUT", topic, { topic: `topic ${events}` });
        return fault;
      };
      let eventId: string | undefined;
      const come = async (): Promise<void> => {
        eventId = await party.sendText(roomId, "hello");
      };
      const fault = await child.unlessEnded(() => reach({ stage, device, child, nextSync, come }));
      await child.kill();
      fault?.remove();

      const again = stage.client(stage.options(device));
      again.client.on("message", async (message) => {
        await again.client.reply(message, { msgtype: "m.notice", body: `heard: ${message.content.body}` });
      });
      await again.client.connect();
      await untilThereIs(party, roomId, ["heard: hello", "hello"]);
      await again.until(() => again.messages.length === 1);
      expect(again.messages[0]).toMatchObject({ eventId, encrypted: true, content: { body: "hello" } });
      expect(again.undecryptable).toEqual([]);
      expectNoKeyTwice(stage);
    });
  });
}

/** Where a process is to be killed. */
interface Scene {
  readonly stage: Stage;
  readonly device: HomeserverClient;
  readonly child: Child;
  /** Holds the next sync that the process asks for. */
  readonly nextSync: (what: (typeof BOTH)[number]) => Promise<FaultHandle>;
  readonly come: () => Promise<void>;
}
