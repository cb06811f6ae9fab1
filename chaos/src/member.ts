import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import type { Ledger } from "./ledger.ts";
import type { Nursery, Process } from "./processes.ts";
import type { Death, Life, Storage } from "./protocol.ts";

/** How a member is started. */
export interface StartOptions {
  readonly lease?: Life["lease"];
  readonly death?: Death | undefined;
}

/** What a member is made of. */
export interface MemberParts {
  readonly client: HomeserverClient;
  readonly storage: Storage;
  readonly nursery: Nursery;
  readonly ledger: Ledger;
  readonly pauseMs: number;
}

/** A device, and the process that it lives in now. */
export class Member {
  readonly userId: string;
  readonly deviceId: string;
  readonly client: HomeserverClient;
  storage: Storage;
  rooms: readonly string[] = [];
  readonly #parts: MemberParts;
  #process: Process | undefined;
  #lives = 0;

  constructor(parts: MemberParts) {
    const { userId, deviceId } = parts.client.credentials;
    this.userId = userId;
    this.deviceId = deviceId;
    this.client = parts.client;
    this.storage = parts.storage;
    this.#parts = parts;
  }

  /** The process that it lives in. @throws before the first start */
  get process(): Process {
    if (this.#process === undefined) throw new Error(`${this.userId} was not started`);
    return this.#process;
  }

  /** Starts a process of it, which takes the place of the one before. */
  async start({ lease = "take-over", death }: StartOptions = {}): Promise<Process> {
    const { client, nursery, ledger, pauseMs } = this.#parts;
    const child = await nursery.take();
    this.#lives += 1;
    ledger.follow(this.userId, child);
    this.#process = child;
    const { homeserver, accessToken } = client.credentials;
    const signature = `${this.userId} ${this.#lives}`;
    child.live({ homeserver, accessToken, storage: this.storage, lease, signature, rooms: this.rooms, pauseMs, death });
    return child;
  }
}
