import { EventEmitter, once } from "node:events";
import type { Credentials } from "@holdfast/dev-homeserver/party";
import { install, mount } from "@holdfast/indexeddb";
import type { DeviceStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import {
  ClientEvent,
  createClient,
  KnownMembership,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  RoomEvent,
  SyncState,
} from "matrix-js-sdk";
import type { CryptoApi, CryptoCallbacks } from "matrix-js-sdk/lib/crypto-api/index.js";
import type { Logger } from "matrix-js-sdk/lib/logger.js";

// The SDK looks the globals up whenever its crypto opens, also while no engine of ours runs.
install();

const nothing = (): void => {};
const silent: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  getChild: () => silent,
};

/** What one life of the SDK on a device holds. */
interface Life {
  readonly client: MatrixClient;
  readonly end: () => Promise<void>;
}

/** How the other party is to be. */
export interface SdkPartyOptions {
  readonly callbacks?: CryptoCallbacks | undefined;
  /** Stands between the SDK and the network. */
  readonly fetchFn?: typeof fetch | undefined;
}

let lives = 0;

/**
 * The other party, on matrix-js-sdk with its crypto on IndexedDB: a storage in
 * memory that outlives each of its lives.
 */
export class SdkParty {
  readonly credentials: Credentials;
  readonly #options: SdkPartyOptions;
  readonly #storage = new MemoryStorage();
  readonly #messages = new Map<string, MatrixEvent>();
  readonly #changed = new EventEmitter().setMaxListeners(0);
  /** The rooms that its crypto knows of: it hears of them while a sync is taken in, after the room's state. */
  #encrypted: ReadonlySet<string> = new Set();
  #life: Life | undefined;

  constructor(credentials: Credentials, options: SdkPartyOptions = {}) {
    this.credentials = credentials;
    this.#options = options;
  }

  get client(): MatrixClient {
    if (this.#life === undefined) throw new Error("the SDK does not run");
    return this.#life.client;
  }

  get crypto(): CryptoApi {
    const crypto = this.client.getCrypto();
    if (crypto === undefined) throw new Error("matrix-js-sdk has no crypto");
    return crypto;
  }

  /** The messages of others that it could read in this and earlier lives, each once, in the order of their reading. */
  get messages(): readonly MatrixEvent[] {
    return [...this.#messages.values()];
  }

  get bodies(): readonly unknown[] {
    return this.messages.map((event) => event.getContent().body);
  }

  /** Begins a life: opens the crypto and syncs, and resolves when the first sync was taken in. */
  async start(): Promise<void> {
    const { homeserver: baseUrl, userId, deviceId, accessToken } = this.credentials;
    const { callbacks, fetchFn } = this.#options;
    const keyStore = new MemoryKeyStore({ storage: this.#storage });
    await keyStore.init();
    const device = (await keyStore.openDevice({ userId, deviceId })) as DeviceStore;
    lives += 1;
    this.#encrypted = new Set();
    const prefix = `sdk-${lives}`;
    const mounted = mount(prefix, device);
    const client = createClient({
      baseUrl,
      userId,
      deviceId,
      accessToken,
      logger: silent,
      ...(callbacks && { cryptoCallbacks: callbacks }),
      ...(fetchFn && { fetchFn }),
    });
    const end = async (): Promise<void> => {
      client.stopClient();
      await mounted[Symbol.asyncDispose]();
      await keyStore.close();
    };
    this.#life = { client, end };
    await client.initRustCrypto({ useIndexedDB: true, cryptoDatabasePrefix: prefix });
    client.on(RoomEvent.Timeline, (event) => this.#take(event));
    client.on(MatrixEventEvent.Decrypted, (event) => this.#take(event));
    client.on(ClientEvent.Sync, () => {
      // An invitation tells of encryption too, and the crypto does not hear of that.
      const joined = client.getRooms().filter((room) => room.getMyMembership() === KnownMembership.Join);
      const rooms = joined.filter((room) => room.hasEncryptionStateEvent());
      this.#encrypted = new Set(rooms.map(({ roomId }) => roomId));
      this.#changed.emit("changed");
    });
    await client.startClient({ initialSyncLimit: 50, pollTimeout: 5_000 });
    await this.until(() => [SyncState.Prepared, SyncState.Syncing].includes(client.getSyncState() as SyncState));
  }

  /** Resolves when a condition holds, which is looked at whenever something has come. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#changed, "changed");
  }

  /** Resolves when it has read this text. */
  reads(body: string): Promise<void> {
    return this.until(() => this.bodies.includes(body));
  }

  /** Sends a text to a room, once it knows the room as encrypted and has seen these users join. Answers with its event id. */
  async say(roomId: string, body: string, others: readonly { readonly userId: string }[] = []): Promise<string> {
    await this.knows(roomId, others);
    return (await this.client.sendTextMessage(roomId, body)).event_id;
  }

  /** Resolves when it knows a room as encrypted, with these users in it. */
  async knows(roomId: string, others: readonly { readonly userId: string }[] = []): Promise<void> {
    const ids = others.map(({ userId }) => userId);
    await this.until(() => {
      if (!this.#encrypted.has(roomId)) return false;
      const room = this.client.getRoom(roomId);
      return ids.every((userId) => room?.getMember(userId)?.membership === "join");
    });
  }

  async restart(): Promise<void> {
    await this.close();
    await this.start();
  }

  /** Ends this life; what it has stored stays. */
  async close(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    await life?.end();
  }

  #take(event: MatrixEvent): void {
    const id = event.getId();
    if (id === undefined || event.getSender() === this.credentials.userId) return;
    if (event.getType() !== "m.room.message" || event.isDecryptionFailure()) return;
    this.#messages.set(id, event);
    this.#changed.emit("changed");
  }
}
