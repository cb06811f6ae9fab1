import type { Change } from "@holdfast/key-store-core";
import type { JsonObject } from "../http/homeserver-api.ts";
import { textOf } from "../http/json.ts";
import type { OpenCollection, SealedCollection } from "../records/sealed-collection.ts";
import { type StrippedEvent, type StrippedUpdate, strippedName } from "../sync/room-update.ts";

/** Something that has arrived and was not handed over yet. */
export interface InboxEntry extends JsonObject {
  readonly kind: "event" | "invite" | "knock" | "to-device";
  /** `""` for a message between devices. */
  readonly roomId: string;
  /** The event as it came; for an invitation or a knock, its stripped state under `events`. */
  readonly event: JsonObject;
  /** Whether its key came late: it was reported as undecryptable before. */
  readonly late?: boolean;
}

/** The invitation or knock that an entry is; `undefined` for every other entry. */
export function strippedOf({ kind, roomId, event: { events } }: InboxEntry): StrippedUpdate | undefined {
  if (kind !== "invite" && kind !== "knock") return undefined;
  return { roomId, membership: kind, state: (Array.isArray(events) ? events : []) as unknown as StrippedEvent[] };
}

/** What an entry is told by when it comes again; empty for a message between devices. */
export function nameOfEntry(entry: InboxEntry, userId: string): string {
  const stripped = strippedOf(entry);
  return stripped === undefined ? (textOf(entry.event.event_id) ?? "") : strippedName(stripped, userId);
}

/** An entry and where it stands. */
export interface InboxRecord {
  readonly key: Uint8Array;
  readonly entry: InboxEntry;
}

/**
 * What has arrived, oldest first, in the device's store: it is committed with
 * the sync token that acknowledges it, and goes when its handlers are done.
 */
export class Inbox {
  readonly #records: SealedCollection<InboxEntry>;
  #next: bigint;

  private constructor(records: SealedCollection<InboxEntry>, next: bigint) {
    this.#records = records;
    this.#next = next;
  }

  /** @throws what reads of a device store throw */
  static async open(collection: OpenCollection): Promise<Inbox> {
    const records = collection<InboxEntry>("inbox");
    return new Inbox(records, await nextSequence(records));
  }

  /** The changes that put entries at the end. */
  append(entries: readonly InboxEntry[]): Change[] {
    return entries.map((entry) => {
      const change = this.#records.put(sequenceKey(this.#next), entry);
      this.#next += 1n;
      return change;
    });
  }

  /** The oldest entries after a key; from the first where none is given. */
  async page(after: Uint8Array | undefined, limit: number): Promise<InboxRecord[]> {
    const records = await this.#records.list({ gt: after }, { limit });
    return records.map(({ key, value }) => ({ key, entry: value }));
  }

  remove(key: Uint8Array): Change {
    return this.#records.delete(key);
  }

  /** How many entries there are. */
  size(): Promise<number> {
    return this.#records.count();
  }
}

/** The number after the greatest in use, in a collection whose keys are {@link sequenceKey}s. */
export async function nextSequence(records: Pick<SealedCollection<JsonObject>, "list">): Promise<bigint> {
  const [last] = await records.list({}, { limit: 1, reverse: true });
  return last === undefined ? 0n : Buffer.from(last.key).readBigUInt64BE() + 1n;
}

/** A record key whose bytes order as the number does. */
export function sequenceKey(sequence: bigint): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(sequence);
  return key;
}
