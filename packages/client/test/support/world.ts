import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Call,
  type DevHomeserver,
  type FaultyHomeserver,
  type Middleware,
  startDevHomeserver,
} from "@holdfast/dev-homeserver";
import type { Journal } from "@holdfast/dev-homeserver/faults";
import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import type { ModeEvent } from "../../src/availability/client-mode.ts";
import type { ErrorEvent, IncomingEvent, UndecryptableEvent } from "../../src/events.ts";
import type { JsonObject } from "../../src/http/homeserver-api.ts";
import { MatrixClient } from "../../src/matrix-client.ts";
import type { MatrixClientOptions } from "../../src/matrix-client-options.ts";

/** A homeserver, users, their clients, and a directory for their stores. */
export class World implements AsyncDisposable {
  readonly homeserver: DevHomeserver;
  readonly directory: string;
  readonly #clients: Watched[] = [];

  private constructor(homeserver: DevHomeserver, directory: string) {
    this.homeserver = homeserver;
    this.directory = directory;
  }

  static async start(): Promise<World> {
    return new World(await startDevHomeserver(), await mkdtemp(join(tmpdir(), "holdfast-client-")));
  }

  /** A user with one device, by the bare API. */
  user(name: string, deviceId?: string): Promise<HomeserverClient> {
    return HomeserverClient.register(this.homeserver.baseUrl, name, deviceId === undefined ? {} : { deviceId });
  }

  /** The options of a client of a user's device, on a SQLite file named for it. */
  options({ credentials }: HomeserverClient, more: Partial<MatrixClientOptions> = {}): MatrixClientOptions {
    const path = join(this.directory, `${credentials.deviceId}.sqlite`);
    return {
      homeserver: this.homeserver.baseUrl,
      accessToken: credentials.accessToken,
      key: new Uint8Array(32).fill(7),
      keyStores: [{ name: "SQLite", create: async () => new SqliteKeyStore({ path }) }],
      awayPauseMs: 20,
      longPollMs: 1_000,
      probe: { firstMs: 20, longestMs: 100 },
      ...more,
    };
  }

  /** A client that writes down what it is told; not connected yet. */
  client(user: HomeserverClient, more: Partial<MatrixClientOptions> = {}): Watched {
    const watched = new Watched(this.options(user, more));
    this.#clients.push(watched);
    return watched;
  }

  /** A client that is connected, and can be written to. */
  connected(user: HomeserverClient, more: Partial<MatrixClientOptions> = {}): Promise<Watched> {
    return this.connect(this.client(user, more));
  }

  /** Connects a client, and waits until it can be written to, where it encrypts. */
  async connect(watched: Watched): Promise<Watched> {
    await watched.client.connect();
    await watched.published(this.homeserver);
    return watched;
  }

  /** A room of these users, the first of whom makes it; encrypted unless said otherwise. */
  async room(users: readonly HomeserverClient[], encrypted = true): Promise<string> {
    const [creator, ...others] = users;
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
    const made = await creator?.call("POST", "/createRoom", {
      invite: others.map(({ credentials }) => credentials.userId),
      initial_state: encrypted ? [encryption] : [],
    });
    const roomId = String(made?.room_id);
    for (const user of others) await user.call("POST", `/join/${encodeURIComponent(roomId)}`, {});
    return roomId;
  }

  /** The syncs of a user's device wait, from the next one on, until what is answered with is called. */
  async holdSyncs({ credentials }: HomeserverClient): Promise<() => void> {
    const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const off = this.use(async ({ device, route }, next) => {
      if (device?.deviceId === credentials.deviceId && route.endsWith("/sync")) {
        held.resolve();
        await released.promise;
      }
      return next();
    });
    await held.promise;
    off();
    return released.resolve;
  }

  use(middleware: Middleware): () => void {
    return this.homeserver.use(middleware);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map(({ client }) => client.close()));
    await this.homeserver.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Resolves when the homeserver has had one-time keys of a device: from then on others can write to it. */
export function keysPublished(journal: Journal, device: Uploader): Promise<void> {
  return uploaded(journal, device, "one_time_keys");
}

/** Resolves when the homeserver has had a fallback key of a device: the last that a new one uploads, by itself or with others. */
export function fallbackPublished(journal: Journal, device: Uploader): Promise<void> {
  return uploaded(journal, device, "fallback_keys");
}

type Uploader = Pick<MatrixClient, "userId" | "deviceId">;

function uploaded(journal: Journal, { userId, deviceId }: Uploader, section: string): Promise<void> {
  const where = ({ body }: Call) => Object.keys((body[section] as object | undefined) ?? {}).length > 0;
  return journal.answered({ path: "/keys/upload", userId, deviceId, where });
}

/** A client, and what it was told. */
export class Watched {
  readonly client: MatrixClient;
  readonly messages: IncomingEvent[] = [];
  readonly undecryptable: UndecryptableEvent[] = [];
  readonly modes: ModeEvent[] = [];
  readonly errors: ErrorEvent[] = [];
  readonly log: string[] = [];
  readonly #changed = new EventEmitter();

  constructor(options: MatrixClientOptions) {
    const line = (level: string) => (message: string) => void this.log.push(`${level} ${message}`);
    const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    this.#changed.setMaxListeners(0);
    this.client = new MatrixClient({ logger, ...options });
    const keep =
      <T>(list: T[]) =>
      (event: T) => {
        list.push(event);
        this.#changed.emit("changed");
      };
    this.client.on("message", keep(this.messages));
    this.client.on("undecryptable", keep(this.undecryptable));
    this.client.on("mode", keep(this.modes));
    this.client.on("error", keep(this.errors));
  }

  /** What was read, in order. */
  get bodies(): string[] {
    return this.messages.map(({ content }) => String(content.body));
  }

  /** Resolves when a condition holds, which is looked at whenever the client was told something. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#changed, "changed");
  }

  /** Resolves when the homeserver has had keys that others can write to this device with; at once where it does not encrypt. */
  async published({ journal }: Pick<FaultyHomeserver, "journal">): Promise<void> {
    const { client } = this;
    await Promise.race([keysPublished(journal, client), this.until(() => client.identity === undefined)]);
  }

  async say(roomId: string, body: string, more: JsonObject = {}): Promise<string> {
    const { eventId } = await this.client.send(roomId, "m.room.message", { msgtype: "m.text", body, ...more });
    return eventId;
  }
}
