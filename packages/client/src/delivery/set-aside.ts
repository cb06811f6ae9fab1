import type { Change } from "@holdfast/key-store-core";
import type { OpenCollection, SealedCollection } from "../records/sealed-collection.ts";
import { type Inbox, type InboxEntry, nextSequence, sequenceKey } from "./inbox.ts";

/**
 * Deliveries whose handlers failed too often, in the device's store, until
 * somebody asks for another try. Bounded: the oldest goes when there is no room.
 */
export class SetAside {
  readonly #records: SealedCollection<InboxEntry>;
  readonly #limit: bigint;
  #next: bigint;

  private constructor(records: SealedCollection<InboxEntry>, limit: number, next: bigint) {
    this.#records = records;
    this.#limit = BigInt(limit);
    this.#next = next;
  }

  /** @throws what reads of a device store throw */
  static async open(collection: OpenCollection, limit: number): Promise<SetAside> {
    const records = collection<InboxEntry>("set-aside");
    return new SetAside(records, limit, await nextSequence(records));
  }

  /** The changes that keep one more, and let go of what is too old. */
  add(entry: InboxEntry): Change[] {
    const key = this.#next;
    this.#next += 1n;
    const changes = [this.#records.put(sequenceKey(key), entry)];
    if (key >= this.#limit) changes.push(this.#records.deleteRange({ lte: sequenceKey(key - this.#limit) }));
    return changes;
  }

  /** The changes that put the oldest back at the end of the inbox, as many as are kept, and how many they are. */
  async putBack(inbox: Inbox): Promise<{ readonly changes: Change[]; readonly count: number }> {
    const records = await this.#records.list({}, { limit: Number(this.#limit) });
    const last = records.at(-1);
    if (last === undefined) return { changes: [], count: 0 };
    // There are more where the limit was higher before.
    const changes = [...inbox.append(records.map(({ value }) => value)), this.#records.deleteRange({ lte: last.key })];
    return { changes, count: records.length };
  }

  size(): Promise<number> {
    return this.#records.count();
  }
}
