import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";
import type { DeviceRef, KeyStore } from "@holdfast/key-store-core";
import { type OlmEngine, openOlmMachine } from "../../src/index.ts";

/** What the state of every device in these tests is encrypted under. */
const KEY = new Uint8Array(32).fill(7);

/** What has left the process, in its order. */
export interface Left {
  /** To be called with what an engine call answered, and not before it has. */
  leave<T>(what: T): T;
}

/** One life of a device from the moment of its snapshot: its peers begin anew with it. */
export interface Play {
  /** The calls that are cut, and made again by the next process. */
  act(engine: OlmEngine, left: Left): Promise<void>;
  /** What came of them, seen from here and by the peers: the same however often the store was cut. */
  outcome(engine: OlmEngine, left: Left): Promise<unknown>;
  /** What a process finds that opens the device before it repeats anything: all that the calls write, or nothing. */
  found?(engine: OlmEngine): Promise<"everything" | "nothing">;
}

/** A call of the crypto engine that writes, or the calls that are one piece of work to their caller. */
export interface Scenario {
  readonly name: string;
  /** How many durable commits it makes: one for each call. */
  readonly commits: number;
  /** Whether the cuts begin with the opening of the device, or with the first call after it. */
  readonly begins: "opening" | "acting";
  /** Brings the device to where the calls are due, closes it, and answers with how it goes on from there. */
  prepare(stage: Stage): Promise<() => Promise<Play>>;
}

/** Where a scenario is played: a homeserver with the device's account, and the store under test. */
export class Stage {
  readonly server: DevHomeserver;
  readonly keyStore: KeyStore;
  readonly client: HomeserverClient;
  readonly #name: string;

  private constructor(server: DevHomeserver, keyStore: KeyStore, name: string, client: HomeserverClient) {
    this.server = server;
    this.keyStore = keyStore;
    this.#name = name;
    this.client = client;
  }

  static async set(server: DevHomeserver, keyStore: KeyStore, name: string): Promise<Stage> {
    return new Stage(server, keyStore, name, await register(server, `${name}-us`));
  }

  get device(): DeviceRef {
    const { userId, deviceId } = this.client.credentials;
    return { userId, deviceId };
  }

  /** An account of its own for a peer. */
  peerClient(name: string): Promise<HomeserverClient> {
    return register(this.server, `${this.#name}-${name}`);
  }

  /** A peer that lives in memory, through all lives of the device, with its keys published. */
  async peer(name: string): Promise<Party> {
    const client = await this.peerClient(name);
    const engine = await inMemoryEngine(client.credentials.userId, client.credentials.deviceId);
    const party = new Party({ client, engine });
    await party.flush();
    return party;
  }

  /** The device at work, before anything is cut. */
  async withUs<T>(work: (us: Party, engine: OlmEngine) => Promise<T>): Promise<T> {
    await using engine = await openEngine(this.keyStore, this.device);
    return await work(new Party({ client: this.client, engine }), engine);
  }
}

/** Opens a device as a new process does: whoever had it before is dead. */
export function openEngine(keyStore: KeyStore, device: DeviceRef): Promise<OlmEngine> {
  return openOlmMachine({ ...device, keyStore, key: KEY, lease: "take-over" });
}

/** The public identity of a device, to be compared. */
export function identityOf({ machine }: OlmEngine): string {
  const { curve25519, ed25519 } = machine.identityKeys;
  return `${curve25519.toBase64()} ${ed25519.toBase64()}`;
}

function register(server: DevHomeserver, name: string): Promise<HomeserverClient> {
  return HomeserverClient.register(server.url, name, { deviceId: "DEVICE" });
}
