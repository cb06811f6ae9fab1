import type { Change } from "@holdfast/key-store-core";
import type { RoomKey } from "../crypto/encryption.ts";
import type { JsonObject } from "../http/homeserver-api.ts";
import type { OpenCollection, SealedCollection } from "../records/sealed-collection.ts";
import { nextSequence, sequenceKey } from "./inbox.ts";

/** An event that waits for its room key. */
export interface HeldEvent extends JsonObject {
  readonly roomId: string;
  readonly sessionId: string;
  readonly event: JsonObject;
}

/** A held event and where it stands. */
export interface HeldRecord {
  readonly key: Uint8Array;
  readonly held: HeldEvent;
}

/** How many records are read at a time. */
const PAGE = 256;

/**
 * Encrypted events whose room key has not come, in the device's store. Bounded:
 * the oldest goes when there is no room for another.
 */
export class HeldEvents {
  readonly #records: SealedCollection<HeldEvent>;
  readonly #limit: number;
  /** Which records wait for which session, by the keys of the records in hexadecimal. */
  readonly #waiting = new Map<string, Set<string>>();
  /** All records, oldest first. */
  readonly #all = new Map<string, RoomKey>();
  #next = 0n;

  private constructor(records: SealedCollection<HeldEvent>, limit: number) {
    this.#records = records;
    this.#limit = limit;
  }

  /** @throws what reads of a device store throw */
  static async open(collection: OpenCollection, limit: number): Promise<HeldEvents> {
    const records = collection<HeldEvent>("held");
    const held = new HeldEvents(records, limit);
    held.#next = await nextSequence(records);
    let after: Uint8Array | undefined;
    for (;;) {
      const page = await records.list({ gt: after }, { limit: PAGE });
      for (const { key, value } of page) held.#index(nameOf(key), value);
      after = page.at(-1)?.key;
      if (page.length < PAGE) return held;
    }
  }

  get size(): number {
    return this.#all.size;
  }

  /** The changes that hold one more event, and let go of the oldest where there are too many; and how many those are. */
  hold(event: HeldEvent): { readonly changes: Change[]; readonly dropped: number } {
    const key = sequenceKey(this.#next);
    this.#next += 1n;
    const changes = [this.#records.put(key, event)];
    this.#index(nameOf(key), event);
    let dropped = 0;
    for (const oldest of this.#all.keys()) {
      if (this.#all.size <= this.#limit) break;
      changes.push(this.release(keyOf(oldest)));
      dropped += 1;
    }
    return { changes, dropped };
  }

  /** The events that wait for a room key. */
  waitingFor({ roomId, sessionId }: RoomKey): Promise<HeldRecord[]> {
    return this.#read([...(this.#waiting.get(sessionName(roomId, sessionId)) ?? [])]);
  }

  /** Every room key that something waits for. */
  keysWaitedFor(): RoomKey[] {
    return [...new Map([...this.#all.values()].map((key) => [sessionName(key.roomId, key.sessionId), key])).values()];
  }

  /** As {@link keysWaitedFor}, so many at most, the last ones; without those that have come when it is their turn. */
  *keysStillWaitedFor(most: number): Iterable<RoomKey> {
    for (const key of this.keysWaitedFor().slice(-most)) {
      if (this.#waiting.has(sessionName(key.roomId, key.sessionId))) yield key;
    }
  }

  /** The change that lets go of an event. */
  release(key: Uint8Array): Change {
    const name = nameOf(key);
    const session = this.#all.get(name);
    if (session !== undefined) {
      this.#all.delete(name);
      const sessionKey = sessionName(session.roomId, session.sessionId);
      const others = this.#waiting.get(sessionKey);
      others?.delete(name);
      if (others?.size === 0) this.#waiting.delete(sessionKey);
    }
    return this.#records.delete(key);
  }

  async #read(names: readonly string[]): Promise<HeldRecord[]> {
    const records: HeldRecord[] = [];
    for (const name of names) {
      const key = keyOf(name);
      const held = await this.#records.get(key);
      if (held !== undefined) records.push({ key, held });
    }
    return records;
  }

  #index(name: string, { roomId, sessionId }: HeldEvent): void {
    this.#all.set(name, { roomId, sessionId });
    const sessionKey = sessionName(roomId, sessionId);
    const waiting = this.#waiting.get(sessionKey) ?? new Set();
    waiting.add(name);
    this.#waiting.set(sessionKey, waiting);
  }
}

function sessionName(roomId: string, sessionId: string): string {
  return JSON.stringify([roomId, sessionId]);
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}

function keyOf(name: string): Uint8Array {
  return Buffer.from(name, "hex");
}
