import { randomBytes } from "node:crypto";
import type { TestHomeserver } from "@holdfast/dev-homeserver";
import { type KeyStore, silentLogger } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import {
  DeviceLists,
  type PlainTextToDeviceEvent,
  ProcessedToDeviceEventType,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import { EngineEncryption } from "../../src/crypto/engine-encryption.ts";
import type { SendToRoom } from "../../src/crypto/outgoing.ts";
import { openOlmMachine } from "../../src/engine/open-olm-machine.ts";
import { createHomeserverApi } from "../../src/http/create-homeserver-api.ts";
import type { HomeserverApi, JsonObject } from "../../src/http/homeserver-api.ts";
import { path } from "../../src/http/path.ts";
import { fixedToken } from "../../src/http/token-source.ts";
import { openCollections } from "../../src/records/open-collections.ts";
import type { RoomEvent } from "../../src/sync/room-update.ts";
import type { ProcessedToDevice } from "../../src/sync/to-device.ts";

/** A user of a homeserver, who can log in on several devices. */
export interface User {
  readonly homeserver: TestHomeserver;
  readonly userId: string;
  readonly name: string;
  readonly password: string;
}

/** A device of a user, as the client has it: an engine on a key store, and the Client-Server API. */
export class Device implements AsyncDisposable {
  readonly user: User;
  readonly deviceId: string;
  readonly accessToken: string;
  readonly api: HomeserverApi;
  readonly keyStore: KeyStore;
  #encryption: EngineEncryption;
  readonly #onClose: (() => Promise<void>)[] = [];
  #since: string | undefined;

  private constructor(user: User, login: Login, keyStore: KeyStore, encryption: EngineEncryption, api: HomeserverApi) {
    this.user = user;
    this.deviceId = login.deviceId;
    this.accessToken = login.accessToken;
    this.keyStore = keyStore;
    this.#encryption = encryption;
    this.api = api;
  }

  get encryption(): EngineEncryption {
    return this.#encryption;
  }

  /** Opens a new device of a user. */
  static async of(user: User): Promise<Device> {
    const login = await logIn(user);
    const api = apiOf(user, login.accessToken);
    const keyStore = new MemoryKeyStore();
    await keyStore.init();
    return new Device(user, login, keyStore, await openEncryption(user, login, keyStore, api), api);
  }

  /** Closes the engine and opens it again on the same store, as a restarted process does. */
  async restart(): Promise<void> {
    await this.#encryption.close();
    this.#encryption = await openEncryption(this.user, this, this.keyStore, this.api);
  }

  /** One sync: the engine takes in what concerns it, and sends what it then has to send. */
  async sync(timeoutMs = 0, signal?: AbortSignal): Promise<Synced> {
    const response = await this.api.request("GET", "/v3/sync", {
      query: { since: this.#since, timeout: timeoutMs },
      timeoutMs: timeoutMs + 30_000,
      signal,
    });
    const {
      to_device,
      device_lists,
      device_one_time_keys_count: counts,
      next_batch,
      rooms,
    } = response as unknown as SyncResponse;
    const users = (ids: readonly string[] = []): UserId[] => ids.map((id) => new UserId(id));
    const processed = await this.#encryption.run((machine) =>
      machine.receiveSyncChanges(
        JSON.stringify(to_device?.events ?? []),
        new DeviceLists(users(device_lists?.changed), users(device_lists?.left)),
        new Map(Object.entries(counts ?? {})),
      ),
    );
    this.#since = next_batch;
    await this.#encryption.flush();
    const toDevice = processed.map((event) => {
      const { type, sender, content } = JSON.parse((event as PlainTextToDeviceEvent).rawEvent) as ToDeviceMessage;
      return { type, sender, content, encrypted: event.type === ProcessedToDeviceEventType.Decrypted };
    });
    const timeline = Object.entries(rooms?.join ?? {}).flatMap(([roomId, room]) =>
      room.timeline.events.map((event) => ({ roomId, event })),
    );
    return { toDevice, timeline };
  }

  /** Runs something before the device is closed. */
  onClose(work: () => Promise<void>): void {
    this.#onClose.push(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const work of this.#onClose) await work();
    await this.#encryption.close();
    await this.keyStore.close();
  }
}

/** What a sync brought. */
export interface Synced {
  readonly toDevice: readonly ProcessedToDevice[];
  readonly timeline: readonly { readonly roomId: string; readonly event: RoomEvent }[];
}

type ToDeviceMessage = Pick<ProcessedToDevice, "type" | "sender" | "content">;

interface SyncResponse {
  readonly rooms?: {
    readonly join?: Readonly<Record<string, { readonly timeline: { readonly events: readonly RoomEvent[] } }>>;
  };
  readonly next_batch: string;
  readonly to_device?: { readonly events: readonly JsonObject[] };
  readonly device_lists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  readonly device_one_time_keys_count?: Readonly<Record<string, number>>;
}

interface Login {
  readonly deviceId: string;
  readonly accessToken: string;
}

/** Makes a user on a homeserver. */
export async function newUser(homeserver: TestHomeserver, name: string): Promise<User> {
  const [unique, password] = [`${name}-${randomBytes(4).toString("hex")}`, `password of ${name}`];
  const { userId } = await homeserver.registerUser(unique, password);
  return { homeserver, userId, name: unique, password };
}

/** Logs a new device of a user in. */
export async function logIn(user: User): Promise<Login> {
  const reply = await apiOf(user, undefined).request("POST", "/v3/login", {
    body: {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: user.name },
      password: user.password,
    },
  });
  return { deviceId: String(reply.device_id), accessToken: String(reply.access_token) };
}

/** Nothing is tried again: what a test cuts stays cut. */
function apiOf({ homeserver }: User, accessToken: string | undefined): HomeserverApi {
  const tokens = accessToken === undefined ? undefined : fixedToken(accessToken);
  return createHomeserverApi({ baseUrl: homeserver.baseUrl, tokens, retry: { retries: 0 } });
}

async function openEncryption(user: User, login: Login, keyStore: KeyStore, api: HomeserverApi) {
  const { userId } = user;
  const key = new Uint8Array(32).fill(7);
  const engine = await openOlmMachine({ keyStore, userId, deviceId: login.deviceId, key });
  const collection = openCollections(engine.deviceStore, key);
  const encryption = new EngineEncryption({
    engine,
    collection,
    api,
    logger: silentLogger,
    sendToRoom: sendPlainly(api),
  });
  await encryption.run((machine) => machine.updateTrackedUsers([new UserId(userId)]));
  await encryption.flush();
  return encryption;
}

/** Sends to rooms that are not encrypted. */
export function sendPlainly(api: HomeserverApi): SendToRoom {
  return async ({ roomId, type, transactionId }, body) => {
    const endpoint = path`/v3/rooms/${roomId}/send/${type}/${transactionId}`;
    return String((await api.request("PUT", endpoint, { body })).event_id);
  };
}
