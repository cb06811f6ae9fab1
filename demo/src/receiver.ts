import { keyStoreFromEnv, type OlmEngine, openOlmMachine } from "@holdfast/client";
import {
  deviceStoreJournal,
  HomeserverClient,
  Party,
  type Received,
  sameIdentity,
} from "@holdfast/dev-homeserver/party";
import type { KeyStore } from "@holdfast/key-store-core";
import type { ReceiverCommands } from "./commands.ts";
import { logger, serve, tell } from "./serve.ts";

/** How long a receiver waits for the next message before it says what it has. */
const PATIENCE_MS = 3_000;

let keyStore: KeyStore;
let engine: OlmEngine;
let party: Party;
let standsStill = false;

serve<ReceiverCommands>({
  async start(credentials) {
    const resolved = await keyStoreFromEnv(process.env, { logger, label: "demo receiver" });
    keyStore = resolved.keyStore;
    const { userId, deviceId } = credentials;
    // The main process starts a receiver only when it knows the one before to be dead: nobody is to be waited for.
    engine = await openOlmMachine({ ...resolved, userId, deviceId, lease: "take-over" });
    party = new Party({
      client: new HomeserverClient(credentials),
      engine,
      journal: deviceStoreJournal(engine.deviceStore, "demo"),
      insideSync: ({ to_device }) => (standsStill ? standStill(to_device?.events?.length ?? 0) : Promise.resolve()),
    });
    const identity = await party.identity();
    // Never a second identity: where the homeserver knows another one, this one stays unpublished.
    const known = await party.publishedIdentity();
    if (known === undefined || sameIdentity(identity, known)) await party.flush();
    const { mode, keyStoreAvailable, degraded } = resolved;
    const published = await party.publishedIdentity();
    return { identity, published, store: keyStore.name, mode, keyStoreAvailable, degraded };
  },

  join: (roomId) => party.join(roomId),

  async read(messages) {
    const received = new Map<string, Received>();
    const readable = () => [...received.values()].filter((event) => event.kind === "decrypted").length;
    let deadline = performance.now() + PATIENCE_MS;
    while (readable() < messages && performance.now() < deadline) {
      const before = readable();
      const report = await party.sync({ timeoutMs: 500 });
      for (const event of report.received) received.set(event.eventId, event);
      if (readable() > before) deadline = performance.now() + PATIENCE_MS;
      tell({ event: "progress", done: readable() });
    }
    return [...received.values()];
  },

  async syncAndStandStill() {
    standsStill = true;
    await party.sync({ timeoutMs: PATIENCE_MS });
    throw new Error("the sync went on");
  },

  history: (roomId) => party.history(roomId),
  send: (roomId, body) => party.sendText(roomId, body),
  stats: () => keyStore.stats(),

  async close() {
    await engine.close();
    await keyStore.close();
  },
});

/** Inside the batch of a sync: the engine has taken the room keys in, and nothing of it is durable yet. */
function standStill(toDevice: number): Promise<never> {
  tell({ event: "inside sync", toDevice });
  return new Promise(() => {});
}
