import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { type DevPostgres, startPostgres, startTcpProxy, type TcpProxy } from "@holdfast/dev-postgres";
import type { KeyStore } from "@holdfast/key-store-core";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { Ledger } from "./ledger.ts";
import { Member } from "./member.ts";
import { Nursery } from "./processes.ts";
import type { Storage } from "./protocol.ts";
import { Wire } from "./wire.ts";
import { Witness } from "./witness.ts";

/** What a world is to be. */
export interface WorldOptions {
  readonly store: Storage["kind"];
  readonly members: number;
  /** Removed from what the processes run. */
  readonly mutant?: string | undefined;
  /** How many processes are loaded ahead. */
  readonly spares: number;
  /** The longest pause between two messages of a member to a room, in milliseconds. */
  readonly pauseMs: number;
  /** After how many messages a room's key is made anew: keys travel all the time. */
  readonly rotation: number;
  /** How long everybody may take to come to rest, in milliseconds. Default: 90,000. */
  readonly restMs?: number | undefined;
  /** A PostgreSQL to share, with the proxy in front of it. */
  readonly database?: Database | undefined;
}

/** A PostgreSQL, and what its clients reach it through. */
export interface Database extends AsyncDisposable {
  readonly server: DevPostgres;
  readonly proxy: TcpProxy;
}

export async function startDatabase(): Promise<Database> {
  const server = await startPostgres();
  const proxy = await startTcpProxy({ target: server });
  return {
    server,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const NAMES = ["anna", "bela", "cleo", "dora"];
/** A homeserver, members in processes of their own, their rooms, and everybody who watches them. */
export class World implements AsyncDisposable {
  readonly homeserver: DevHomeserver;
  readonly directory: string;
  readonly ledger = new Ledger();
  readonly wire: Wire;
  readonly witness: Witness;
  readonly members: Member[] = [];
  readonly database: Database | undefined;
  readonly restMs: number;
  /** Direct, past the proxy. */
  readonly #inspect = new Map<string, () => KeyStore>();
  readonly #nursery: Nursery;

  private constructor(homeserver: DevHomeserver, witness: Witness, directory: string, options: WorldOptions) {
    this.homeserver = homeserver;
    this.witness = witness;
    this.directory = directory;
    this.database = options.database;
    this.restMs = options.restMs ?? 90_000;
    this.wire = new Wire(homeserver, this.ledger);
    this.#nursery = new Nursery({
      size: options.spares,
      logFile: join(directory, "clients.log"),
      cache: join(tmpdir(), "holdfast-chaos-cache"),
      mutant: options.mutant,
    });
  }

  /** Makes all, with members that are connected, know each other, and talk. */
  static async start(options: WorldOptions): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-chaos-"));
    const homeserver = await startDevHomeserver({ journalLimit: 10_000_000 });
    const world = new World(homeserver, await Witness.register(homeserver.baseUrl), directory, options);
    try {
      await world.#populate(options);
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  /** The device's row in its store, seen from outside. */
  async rowOf(member: Member): Promise<{ readonly epoch: bigint; readonly revision: bigint }> {
    const make = this.#inspect.get(member.userId);
    if (make === undefined) throw new Error("nobody knows where that device is");
    const keyStore = make();
    try {
      if (!(await keyStore.init()))
        throw new Error(`the store cannot be looked at: ${JSON.stringify(keyStore.status)}`);
      const devices = await keyStore.listDevices();
      const row = devices.find(({ userId, deviceId }) => userId === member.userId && deviceId === member.deviceId);
      if (row === undefined) throw new Error(`the store has no device of ${member.userId}`);
      return row;
    } finally {
      await keyStore.close();
    }
  }

  /** From now on a member has an empty store. */
  async loseStore(member: Member): Promise<void> {
    const url = await this.database?.server.createDatabase();
    member.storage = this.#storage(member.storage.kind, join(this.directory, `${member.deviceId}-2.sqlite`), url);
  }

  /** Writes down what went over the wire since the last look, beside the logs of the processes. */
  async keepTranscript(): Promise<void> {
    await writeFile(join(this.directory, "wire.jsonl"), this.wire.transcript());
  }

  /** Ends every process; keeps the logs where they are asked for. */
  async end(keep: boolean): Promise<void> {
    await this.#nursery[Symbol.asyncDispose]();
    await this.homeserver.close();
    if (!keep) await rm(this.directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end(false);
  }

  async #populate({ members, store, pauseMs, rotation, database }: WorldOptions): Promise<void> {
    const url = await database?.server.createDatabase();
    for (const name of NAMES.slice(0, members)) {
      const client = await HomeserverClient.register(this.homeserver.baseUrl, name, {
        deviceId: name.toUpperCase(),
      });
      const { userId } = client.credentials;
      this.wire.watch(userId);
      const path = join(this.directory, `${name}.sqlite`);
      const storage = this.#storage(store, path, url);
      this.#inspect.set(userId, () => (url === undefined ? new SqliteKeyStore({ path }) : new PostgresKeyStore(url)));
      const parts = { client, storage, nursery: this.#nursery, ledger: this.ledger, pauseMs };
      this.members.push(new Member(parts));
    }
    await this.#connectAll();
    // Whoever sends before a member has published its keys cannot give it the room's: it is not there yet.
    for (const member of this.members) await this.#published(member);
    const rooms = [await this.#room(rotation), await this.#room(rotation), await this.#room(undefined)];
    for (const member of this.members) {
      member.rooms = rooms;
      // A new life, which talks: what the first has synced is the baseline of what must arrive.
      await member.process.kill();
    }
    await this.#connectAll();
  }

  /** A path or an address, whichever the store has. */
  #storage(store: Storage["kind"], path: string, url: string | undefined): Storage {
    if (store === "sqlite") return { kind: store, path };
    if (this.database === undefined || url === undefined) throw new Error("there is no PostgreSQL");
    return { kind: store, url: this.database.proxy.url(url) };
  }

  async #connectAll(): Promise<void> {
    for (const member of this.members) await member.start();
    for (const member of this.members) {
      if (!(await member.process.until("connected", 60_000))) throw new Error("a member did not connect: see the log");
    }
  }

  async #published({ userId, deviceId, client }: Member): Promise<void> {
    for (let deadline = performance.now() + 60_000; performance.now() < deadline; await pause(20)) {
      const answer = await client.call("POST", "/keys/upload", {});
      const counts = answer.one_time_key_counts as { signed_curve25519: number };
      const shown = await client.call("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } });
      const devices = shown.device_keys as Record<string, Record<string, unknown>>;
      if (counts.signed_curve25519 >= 50 && devices[userId]?.[deviceId] !== undefined) return;
    }
    throw new Error("a member has not published its keys: see the log");
  }

  async #room(rotation: number | undefined): Promise<string> {
    const [creator, ...others] = this.members.map(({ client }) => client);
    const content = { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: rotation };
    const made = await creator?.call("POST", "/createRoom", {
      invite: others.map(({ credentials }) => credentials.userId),
      initial_state: rotation !== undefined ? [{ type: "m.room.encryption", state_key: "", content }] : [],
    });
    const roomId = String(made?.room_id);
    for (const other of others) await other.call("POST", `/join/${encodeURIComponent(roomId)}`, {});
    if (rotation !== undefined) this.wire.encryptedRooms.add(roomId);
    return roomId;
  }
}
