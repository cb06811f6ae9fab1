import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FaultyHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party, path } from "@holdfast/dev-homeserver/party";
import type { MatrixClientOptions } from "../../src/matrix-client-options.ts";
import { Watched } from "../../test/support/world.ts";
import { candidateOn } from "../programs/life.ts";
import { SdkParty, type SdkPartyOptions } from "./sdk-party.ts";

/** The key that the stores of all tests are under. */
export const STORE_KEY = new Uint8Array(32).fill(7);

/** A user of a homeserver, fresh for one test. */
export interface User {
  readonly userId: string;
  /** The name that it logs in with. */
  readonly name: string;
  readonly password: string;
}

/** One test's part of a homeserver: users that nobody else has, their clients, and a directory for their stores. */
export class Stage implements AsyncDisposable {
  readonly homeserver: FaultyHomeserver;
  readonly directory: string;
  readonly #ending: (() => Promise<unknown>)[] = [];

  private constructor(homeserver: FaultyHomeserver, directory: string) {
    this.homeserver = homeserver;
    this.directory = directory;
  }

  static async on(homeserver: FaultyHomeserver): Promise<Stage> {
    return new Stage(homeserver, await mkdtemp(join(tmpdir(), "holdfast-e2e-")));
  }

  /** A user of this name, made unlike that of every other test. */
  async user(called: string): Promise<User> {
    const name = `${called}-${randomBytes(4).toString("hex")}`;
    const password = `password of ${name}`;
    const { userId } = await this.homeserver.registerUser(name, password);
    return { userId, name, password };
  }

  /** A new device of a user, by the bare API; or one that is there, logged in again. */
  logIn({ name, password }: User, deviceId?: string): Promise<HomeserverClient> {
    return HomeserverClient.login(this.homeserver.baseUrl, name, password, deviceId);
  }

  /** A new user with one device. */
  async device(called: string): Promise<HomeserverClient> {
    return this.logIn(await this.user(called));
  }

  /** The SQLite file that a device's keys are in. */
  sqlitePath({ credentials }: HomeserverClient): string {
    return join(this.directory, `${credentials.deviceId}.sqlite`);
  }

  /** The options of our client for a device, on a SQLite file named for it. */
  options(device: HomeserverClient, more: Partial<MatrixClientOptions> = {}): MatrixClientOptions {
    return {
      homeserver: this.homeserver.baseUrl,
      accessToken: device.credentials.accessToken,
      key: STORE_KEY,
      keyStores: [candidateOn({ kind: "sqlite", path: this.sqlitePath(device) })],
      awayPauseMs: 50,
      longPollMs: 5_000,
      probe: { firstMs: 20, longestMs: 200 },
      ...more,
    };
  }

  /** Our client for a device, not connected yet. */
  client(options: MatrixClientOptions): Watched {
    const watched = new Watched(options);
    this.onEnd(() => watched.client.close());
    return watched;
  }

  /** Our client for a device, connected, so that it can be written to. */
  ours(device: HomeserverClient, more: Partial<MatrixClientOptions> = {}): Promise<Watched> {
    return this.connect(this.client(this.options(device, more)));
  }

  /** Connects our client, and waits until it can be written to, where it encrypts. */
  async connect(watched: Watched): Promise<Watched> {
    await watched.client.connect();
    await watched.published(this.homeserver);
    return watched;
  }

  /** A client on matrix-js-sdk for a device, which syncs. */
  async sdk(device: HomeserverClient, options: SdkPartyOptions = {}): Promise<SdkParty> {
    const party = new SdkParty(device.credentials, options);
    this.onEnd(() => party.close());
    await party.start();
    return party;
  }

  /** A bare engine for a device: a party that costs little. Its keys are published. */
  async party(client: HomeserverClient): Promise<Party> {
    const { userId, deviceId } = client.credentials;
    const party = new Party({ client, engine: await inMemoryEngine(userId, deviceId) });
    await party.flush();
    return party;
  }

  /** A room that the first of these makes and the others have joined; encrypted unless said otherwise. */
  async room(
    [creator, ...others]: readonly HomeserverClient[],
    options: { readonly encrypted?: boolean; readonly settings?: object } = {},
  ): Promise<string> {
    const content = { algorithm: "m.megolm.v1.aes-sha2", ...options.settings };
    const users = new Set(others.map(({ credentials }) => credentials.userId));
    const made = await creator?.call("POST", "/createRoom", {
      preset: "private_chat",
      invite: [...users].filter((userId) => userId !== creator.credentials.userId),
      initial_state: options.encrypted === false ? [] : [{ type: "m.room.encryption", state_key: "", content }],
    });
    const roomId = String(made?.room_id);
    for (const other of others) await other.call("POST", path("join", roomId), {});
    return roomId;
  }

  /** Runs something when the test has ended, the last first. */
  onEnd(work: () => Promise<unknown>): void {
    this.#ending.push(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.homeserver.faults.clear();
    for (const work of this.#ending.reverse()) await work();
    await rm(this.directory, { recursive: true, force: true });
  }
}
