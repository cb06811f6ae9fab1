import type { KeyStore, Logger } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { EngineEncryption } from "../../src/crypto/engine-encryption.ts";
import { Inbox } from "../../src/delivery/inbox.ts";
import { createHomeserverApi } from "../../src/http/create-homeserver-api.ts";
import type { HomeserverApi, JsonObject } from "../../src/http/homeserver-api.ts";
import { path } from "../../src/http/path.ts";
import { fixedToken } from "../../src/http/token-source.ts";
import { openOlmMachine } from "../../src/index.ts";
import { openCollections } from "../../src/records/open-collections.ts";
import { Rooms } from "../../src/rooms/rooms.ts";
import { Encryptor } from "../../src/send/encryptor.ts";
import type { ShareKeysWith } from "../../src/send/key-sharing.ts";
import { Outbox } from "../../src/send/outbox.ts";
import { DurableSync } from "../../src/sync/durable-sync.ts";
import type { RoomEvent } from "../../src/sync/room-update.ts";
import { parseSync } from "../../src/sync/sync-response.ts";

const KEY = new Uint8Array(32).fill(7);

/** Who a client under test is, on which homeserver. */
export interface Login {
  readonly url: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly token: string;
}

/** Registers a user on a development homeserver. */
export async function register(url: string, username: string): Promise<Login> {
  const api = createHomeserverApi({ baseUrl: url });
  const body = { username, password: "correct horse", auth: { type: "m.login.dummy" } };
  return loginOf(url, await api.request("POST", "/v3/register", { body, authenticated: false }));
}

function loginOf(url: string, answer: JsonObject): Login {
  const { user_id: userId, device_id: deviceId, access_token: token } = answer;
  return { url, userId: String(userId), deviceId: String(deviceId), token: String(token) };
}

/** How a client under test is opened. */
export interface SendingClientOptions {
  /** What an earlier one has left. Default: nothing. */
  readonly storage?: MemoryStorage | undefined;
  readonly shareKeysWith?: ShareKeysWith | undefined;
  /** Makes a key store on the storage. Default: one in memory. */
  readonly keyStore?: ((storage: MemoryStorage) => KeyStore) | undefined;
  /** At which of its requests the process is killed, counted from 0: before it has left, or when its answer has come. */
  readonly kill?: { readonly request: number; readonly when: "before" | "after" } | undefined;
}

/** The parts of a client that send, put together on a store in memory that outlives it. */
export class SendingClient {
  readonly login: Login;
  readonly storage: MemoryStorage;
  readonly api: HomeserverApi;
  readonly rooms: Rooms;
  readonly encryptor: Encryptor;
  readonly outbox: Outbox;
  /** Every line that was logged, with its level before it. */
  readonly log: string[] = [];
  encryption: EngineEncryption | undefined;
  /** Whether requests are counted, and how many have been. */
  armed = false;
  requests = 0;
  /** Resolves when the process is killed. */
  readonly killed = Promise.withResolvers<void>();
  readonly #keyStore: (storage: MemoryStorage) => KeyStore;
  #killed = false;
  #away: EngineEncryption | undefined;
  #since: string | undefined;
  #inbox: Inbox | undefined;
  readonly #closing = new AbortController();

  private constructor(login: Login, options: SendingClientOptions) {
    this.login = login;
    this.storage = options.storage ?? new MemoryStorage();
    this.#keyStore = options.keyStore ?? ((storage) => new MemoryKeyStore({ storage }));
    const [tokens, retry] = [fixedToken(login.token), { retries: 0 }];
    this.api = createHomeserverApi({ baseUrl: login.url, tokens, retry, fetch: this.#mortal(options.kill) });
    const encryption = () => this.encryption;
    const parts = { api: this.api, encryption, logger: this.#logger(), userId: login.userId };
    const [{ shareKeysWith }, closing] = [options, this.#closing.signal];
    this.rooms = new Rooms({ ...parts, closing });
    this.encryptor = new Encryptor({ ...parts, rooms: this.rooms, closing, shareKeysWith });
    this.outbox = new Outbox({ ...parts, rooms: this.rooms, encryptor: this.encryptor, retryDelayMs: 5 });
  }

  /** Opens a client whose keys are published. */
  static async open(login: Login, options: SendingClientOptions = {}): Promise<SendingClient> {
    const client = await SendingClient.unsynced(login, options);
    await client.sync();
    return client;
  }

  /** As {@link open}, and it has not synced yet. */
  static async unsynced(login: Login, options: SendingClientOptions = {}): Promise<SendingClient> {
    const client = new SendingClient(login, options);
    await client.comeBack();
    return client;
  }

  /** Opens a client whose store is away. */
  static withoutStore(login: Login): SendingClient {
    return new SendingClient(login, {});
  }

  /** Opens the store. */
  async comeBack(): Promise<void> {
    await this.#away?.close().catch(() => {});
    const keyStore = this.#keyStore(this.storage);
    await keyStore.init();
    const { userId, deviceId } = this.login;
    const engine = await openOlmMachine({ keyStore, userId, deviceId, key: KEY, lease: "take-over" });
    const collection = openCollections(engine.deviceStore, KEY);
    const encryption = new EngineEncryption({ engine, collection, api: this.api, logger: this.#logger() });
    this.#inbox = await Inbox.open(collection);
    this.encryption = encryption;
    await encryption.flush();
  }

  /** The store goes away: the parts are told so, and nothing is closed. */
  goAway(): void {
    this.#away = this.encryption;
    this.encryption = undefined;
  }

  /** Takes one sync in, as one commit; without a store, in memory. Answers with what it gave. */
  async sync(change: (response: JsonObject) => JsonObject = (response) => response): Promise<void> {
    const { encryption } = this;
    const signal = this.#closing.signal;
    const durable = encryption && this.#durable(encryption);
    const since = durable === undefined ? this.#since : await durable.since();
    const response = await this.api.request("GET", "/v3/sync", { query: { since, timeout: 0 }, signal });
    const update = parseSync(change(response));
    if (update === undefined) throw new Error("the homeserver's answer is no sync");
    if (durable !== undefined) {
      await durable.take(update, since, signal);
      await encryption?.flush();
      return;
    }
    this.#since = update.nextBatch;
    for (const room of update.rooms) await this.rooms.takeIn(room, undefined);
    for (const room of update.stripped) await this.rooms.takeInStripped(room, undefined);
  }

  async createRoom(options: {
    readonly encryption?: JsonObject;
    readonly invite?: readonly string[];
  }): Promise<string> {
    const { encryption, invite = [] } = options;
    const state = encryption && [{ type: "m.room.encryption", state_key: "", content: encryption }];
    const body = { preset: "private_chat", invite, ...(state && { initial_state: state }) };
    return String((await this.api.request("POST", "/v3/createRoom", { body })).room_id);
  }

  async join(roomId: string): Promise<void> {
    await this.api.request("POST", path`/v3/join/${roomId}`);
  }

  async setState(roomId: string, type: string, content: JsonObject): Promise<void> {
    await this.api.request("PUT", path`/v3/rooms/${roomId}/state/${type}/`, { body: content });
  }

  /** The state of a room, as the homeserver has it. */
  async stateEvents(roomId: string): Promise<readonly RoomEvent[]> {
    const query = { dir: "b", limit: 1_000 };
    const { chunk } = await this.api.request("GET", path`/v3/rooms/${roomId}/messages`, { query });
    return (chunk as unknown as RoomEvent[]).filter((event) => event.state_key !== undefined);
  }

  /** The events of a room that are no state, oldest first, as the homeserver has them. */
  async timeline(roomId: string): Promise<readonly TimelineEvent[]> {
    const query = { dir: "b", limit: 1_000 };
    const { chunk } = await this.api.request("GET", path`/v3/rooms/${roomId}/messages`, { query });
    const events = chunk as unknown as TimelineEvent[];
    return events.filter((event) => event.state_key === undefined).reverse();
  }

  /** As a process that is killed: it does nothing more, and nothing is tidied up. */
  abandon(): void {
    if (this.#killed) return;
    this.#killed = true;
    this.killed.resolve();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#killed) return;
    await this.outbox.close();
    await this.encryption?.close();
  }

  /** Requests of a process that is killed: none leaves it afterwards, and no answer arrives. */
  #mortal(kill: SendingClientOptions["kill"]): typeof fetch {
    const dead = (): Promise<never> => {
      this.abandon();
      return new Promise(() => {});
    };
    return async (input, init) => {
      const at = this.armed ? this.requests : -1;
      if (this.armed) this.requests += 1;
      if (this.#killed || (kill?.request === at && kill.when === "before")) return dead();
      const response = await fetch(input, init);
      return this.#killed || (kill?.request === at && kill.when === "after") ? dead() : response;
    };
  }

  #durable(encryption: EngineEncryption): DurableSync {
    const inbox = this.#inbox;
    if (inbox === undefined) throw new Error("the store was never opened");
    return new DurableSync({
      encryption,
      inbox,
      rooms: this.rooms,
      api: this.api,
      userId: this.login.userId,
      logger: this.#logger(),
      gapLimit: 0,
      requirement: "untrusted",
      deliverHistory: false,
      handled: new Set(),
    });
  }

  #logger(): Logger {
    const line = (level: string) => (message: string) => void this.log.push(`${level} ${message}`);
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  }
}

/** An event of a timeline. */
export interface TimelineEvent {
  readonly type: string;
  readonly event_id: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly state_key?: string;
  readonly unsigned?: JsonObject;
}
