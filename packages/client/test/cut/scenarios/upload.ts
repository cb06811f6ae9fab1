import { isDeepStrictEqual } from "node:util";
import type { DeviceRef } from "@holdfast/key-store-core";
import {
  DeviceId,
  initAsync,
  OlmMachine,
  ProcessedToDeviceEventType,
  RequestType,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmEngine } from "../../../src/index.ts";
import { receiveSync } from "../events.ts";
import type { Left, Play, Scenario } from "../scenario.ts";

type Keys = Record<string, { readonly key: string }>;

interface Upload {
  readonly device_keys?: { readonly keys: Record<string, string> };
  readonly one_time_keys?: Keys;
  readonly fallback_keys?: Keys;
}

/** What a homeserver keeps of a device's keys. */
class PublishedKeys {
  device: Upload["device_keys"];
  /** Those that will be claimed. */
  readonly oneTime: Keys;
  fallback: Keys = {};
  /** How many others there are. */
  readonly #others: number;

  constructor(device?: Upload["device_keys"], oneTime: Keys = {}, others = 0) {
    this.device = device;
    this.oneTime = { ...oneTime };
    this.#others = others;
  }

  get counts(): Record<string, number> {
    return { signed_curve25519: Object.keys(this.oneTime).length + this.#others };
  }

  /** The algorithms that have a fallback key which nobody has used. */
  get unusedFallbacks(): readonly string[] {
    return Object.keys(this.fallback).map((id) => id.split(":", 1)[0] ?? id);
  }

  /** Takes keys in, and answers as `/keys/upload` does; a key that is not the one of its id is an error there. */
  take({ device_keys, one_time_keys = {}, fallback_keys = {} }: Upload): string {
    this.device = device_keys ?? this.device;
    for (const [id, key] of Object.entries(one_time_keys)) {
      const known = this.oneTime[id];
      if (known !== undefined && known.key !== key.key) throw new Error(`One time key ${id} already exists`);
      this.oneTime[id] = key;
    }
    if (Object.keys(fallback_keys).length > 0) this.fallback = fallback_keys;
    return JSON.stringify({ one_time_key_counts: this.counts });
  }
}

/** A peer that claims every key that was published, and sends a message by each. */
class Claimant {
  readonly #machine: OlmMachine;
  readonly #us: DeviceRef;
  /** By the public key: whoever has claimed it once need not do so again. */
  readonly #messages = new Map<string, unknown>();
  #known: unknown;

  private constructor(machine: OlmMachine, us: DeviceRef) {
    this.#machine = machine;
    this.#us = us;
  }

  static async make(us: DeviceRef): Promise<Claimant> {
    await initAsync();
    const machine = await OlmMachine.initialize(new UserId("@claimant:localhost"), new DeviceId("CLAIMANT"));
    await machine.updateTrackedUsers([new UserId(us.userId)]);
    return new Claimant(machine, us);
  }

  async messagesFor({ device, oneTime, fallback }: PublishedKeys): Promise<unknown[]> {
    await this.#meet(device);
    const messages: unknown[] = [];
    for (const [id, key] of [...Object.entries(oneTime), ...Object.entries(fallback)]) {
      const message = this.#messages.get(key.key) ?? (await this.#messageBy(id, key));
      this.#messages.set(key.key, message);
      messages.push(message);
    }
    return messages;
  }

  async #meet(device: unknown): Promise<void> {
    if (isDeepStrictEqual(this.#known, device)) return;
    const { userId, deviceId } = this.#us;
    const query = (await this.#machine.outgoingRequests()).find(({ type }) => type === RequestType.KeysQuery);
    const answer = { device_keys: { [userId]: { [deviceId]: device } }, failures: {} };
    await this.#machine.markRequestAsSent(query?.id ?? "", RequestType.KeysQuery, JSON.stringify(answer));
    this.#known = device;
  }

  async #messageBy(id: string, key: unknown): Promise<unknown> {
    const { userId, deviceId } = this.#us;
    const claim = await this.#machine.getMissingSessions([new UserId(userId)]);
    const answer = { one_time_keys: { [userId]: { [deviceId]: { [id]: key } } }, failures: {} };
    // Once there is a session the engine asks for no other; it takes one in all the same.
    await this.#machine.markRequestAsSent(claim?.id ?? `claim ${id}`, RequestType.KeysClaim, JSON.stringify(answer));
    const device = await this.#machine.getDevice(new UserId(userId), new DeviceId(deviceId));
    if (device === undefined) throw new Error("the device is not known");
    const content = JSON.parse(await device.encryptToDeviceEvent("test.claimed", { id }));
    return { type: "m.room.encrypted", sender: "@claimant:localhost", content };
  }
}

async function upload({ machine }: OlmEngine, left: Left, published: PublishedKeys): Promise<void> {
  for (const { id, type, body } of await machine.outgoingRequests()) {
    if (type !== RequestType.KeysUpload || id === undefined) continue;
    const answer = published.take(JSON.parse(left.leave(body)));
    await machine.markRequestAsSent(id, type, answer);
  }
}

/** How many of the published keys there are, and which of them the device cannot be reached by. */
async function reachable({ machine }: OlmEngine, published: PublishedKeys, claimant: Claimant) {
  const messages = await claimant.messagesFor(published);
  const processed = await receiveSync(machine, { to_device: { events: messages } });
  const unopened = processed.filter(({ type }) => type !== ProcessedToDeviceEventType.Decrypted).length;
  const { deviceId, identityKeys } = machine;
  const isOurs =
    published.device?.keys[`ed25519:${deviceId}`] === identityKeys.ed25519.toBase64() &&
    published.device.keys[`curve25519:${deviceId}`] === identityKeys.curve25519.toBase64();
  const used = new Set(messages.map((message) => JSON.stringify(message))).size;
  const fallbacks = Object.keys(published.fallback).length;
  return { keys: messages.length, fallbacks, used, received: processed.length, unopened, isOurs };
}

export const uploadKeys: Scenario = {
  name: "uploading a new device's keys",
  commits: 2,
  begins: "acting",
  async prepare(stage) {
    await stage.withUs(async () => {});
    const claimant = await Claimant.make(stage.device);
    return async (): Promise<Play> => {
      const published = new PublishedKeys();
      return {
        act: (engine, left) => upload(engine, left, published),
        outcome: (engine) => reachable(engine, published, claimant),
      };
    };
  },
};

/** How many of the keys were claimed, and how many of the others are tried: all of them are, above. */
const [CLAIMED, SAMPLE] = [4, 3];

export const replaceOneTimeKeys: Scenario = {
  name: "replacing one-time and fallback keys that were used",
  commits: 2,
  begins: "acting",
  async prepare(stage) {
    const before = new PublishedKeys();
    await stage.withUs(async (_, engine) => upload(engine, { leave: (what) => what }, before));
    const sample = Object.fromEntries(Object.entries(before.oneTime).slice(-SAMPLE));
    const others = Object.keys(before.oneTime).length - CLAIMED - SAMPLE;
    const claimant = await Claimant.make(stage.device);
    return async (): Promise<Play> => {
      const published = new PublishedKeys(before.device, sample, others);
      return {
        async act(engine, left) {
          await receiveSync(engine.machine, {
            device_one_time_keys_count: published.counts,
            device_unused_fallback_key_types: published.unusedFallbacks,
          });
          await upload(engine, left, published);
        },
        outcome: (engine) => reachable(engine, published, claimant),
      };
    };
  },
};
