import { randomUUID } from "node:crypto";
import { type Engine, HomeserverClient, inMemoryEngine, path } from "@holdfast/dev-homeserver/party";
import { DeviceId, RequestType, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { POKE } from "./protocol.ts";

/** A device whose keys are claimed. */
export interface Target {
  readonly userId: string;
  readonly deviceId: string;
}

/** A one-time key that was claimed, and what uses it. */
export interface Claimed {
  readonly publicKey: string;
  readonly keyId: string;
  readonly engine: Engine;
}

interface KeysRequest {
  readonly id: string;
  readonly type: RequestType;
  readonly body: string;
}

/** Somebody who claims keys, and uses each for one message between devices. */
export class Witness {
  readonly #client: HomeserverClient;
  /** What was sent, by the id that its handler must tell. */
  readonly sent = new Map<string, { readonly target: Target; readonly keyId: string }>();
  #devices = 0;

  private constructor(client: HomeserverClient) {
    this.#client = client;
  }

  static async register(homeserver: string): Promise<Witness> {
    return new Witness(await HomeserverClient.register(homeserver, "witness"));
  }

  /** Claims a key, `undefined` where there is none; by a new device, because a device claims no second one. */
  async claim(target: Target): Promise<Claimed | undefined> {
    this.#devices += 1;
    const engine = await inMemoryEngine(this.#client.credentials.userId, `WITNESS${this.#devices}`);
    return engine.run(async (machine) => {
      await machine.updateTrackedUsers([new UserId(target.userId)]);
      for (const request of (await machine.outgoingRequests()) as KeysRequest[]) {
        if (request.type !== RequestType.KeysQuery) continue;
        const { id, type, body } = request;
        await machine.markRequestAsSent(id, type, JSON.stringify(await this.#client.call("POST", "/keys/query", body)));
      }
      const request = await machine.getMissingSessions([new UserId(target.userId)]);
      if (request === null || request === undefined) throw new Error(`${target.userId} shows no device`);
      const { id, type, body } = request as unknown as KeysRequest;
      const answer = await this.#client.call("POST", "/keys/claim", body);
      await machine.markRequestAsSent(id, type, JSON.stringify(answer));
      const users = answer.one_time_keys as Record<string, Record<string, Record<string, { key: string }>>>;
      const [entry] = Object.entries(users[target.userId]?.[target.deviceId] ?? {});
      return entry && { engine, keyId: entry[0], publicKey: entry[1].key };
    });
  }

  /** Uses a key that was claimed: sends a message that can be read with its private half only. */
  async use({ engine, keyId }: Claimed, target: Target): Promise<void> {
    const id = randomUUID();
    const { userId, deviceId } = target;
    const content = await engine.run(async (machine) => {
      const device = await machine.getDevice(new UserId(userId), new DeviceId(deviceId));
      if (device === undefined) throw new Error(`${userId} shows no device`);
      return device.encryptToDeviceEvent(POKE, { id });
    });
    this.sent.set(id, { target, keyId });
    const messages = { [userId]: { [deviceId]: JSON.parse(content) } };
    await this.#client.call("PUT", path("sendToDevice", "m.room.encrypted", id), { messages });
  }

  /** Claims keys and uses them, so that the device has to make new ones. */
  async poke(target: Target, times: number): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      const claimed = await this.claim(target);
      if (claimed !== undefined) await this.use(claimed, target);
    }
  }
}
