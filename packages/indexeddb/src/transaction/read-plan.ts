import type { KeyRange, Page, RecordReader, StoredRecord } from "@holdfast/key-store-core";
import type { Records } from "../storage/records.ts";

/** A value that is being read: there once the plan was carried out. */
export interface ValueSlot {
  value: Uint8Array | undefined;
}

/** A page of records that is being read: there once the plan was carried out. */
export interface PageSlot {
  records: readonly StoredRecord[];
}

/** A number of records that are being counted: there once the plan was carried out. */
export interface CountSlot {
  count: number;
}

/** The keys that are looked up in one collection. */
interface Lookups {
  readonly collection: string;
  readonly keys: Uint8Array[];
  readonly slots: ValueSlot[];
}

/**
 * What a group of operations must read before it can run: collected first, so
 * that it takes one round trip, whatever the number of operations.
 */
export class ReadPlan {
  /** Whether the operation that is being planned is the first of its group: all before it have run. */
  isFirst = true;

  readonly #records: Records;
  readonly #lookups: Lookups[] = [];
  readonly #others: ((reader: RecordReader) => Promise<void>)[] = [];

  constructor(records: Records) {
    this.#records = records;
  }

  /** Plans to read a key's value, unless it is known already. */
  lookup(collection: string, key: Uint8Array): ValueSlot {
    const known = this.#records.peek(collection, key);
    if (known !== "unknown") return { value: known };
    let lookups = this.#lookups.find((each) => each.collection === collection);
    if (lookups === undefined) {
      lookups = { collection, keys: [], slots: [] };
      this.#lookups.push(lookups);
    }
    const slot: ValueSlot = { value: undefined };
    lookups.keys.push(key);
    lookups.slots.push(slot);
    return slot;
  }

  /** Plans to list a page. */
  scan(collection: string, range: KeyRange, page: Page): PageSlot {
    const slot: PageSlot = { records: [] };
    this.#others.push((reader) =>
      reader.list(collection, range, page).then((records) => {
        slot.records = records;
      }),
    );
    return slot;
  }

  /** Plans to count a range. */
  count(collection: string, range: KeyRange): CountSlot {
    const slot: CountSlot = { count: 0 };
    this.#others.push((reader) =>
      reader.count(collection, range).then((count) => {
        slot.count = count;
      }),
    );
    return slot;
  }

  get isEmpty(): boolean {
    return this.#lookups.length === 0 && this.#others.length === 0;
  }

  /** Reads everything. */
  read(): Promise<unknown> {
    const reader = this.#records;
    const reads = this.#others.map((read) => read(reader));
    for (const lookups of this.#lookups) reads.push(lookUp(reader, lookups));
    const [first] = reads;
    return reads.length === 1 && first !== undefined ? first : Promise.all(reads);
  }
}

function lookUp(reader: RecordReader, { collection, keys, slots }: Lookups): Promise<void> {
  return reader.getMany(collection, keys).then((values) => {
    for (let at = 0; at < slots.length; at += 1) (slots[at] as ValueSlot).value = values[at]; // as many as keys
  });
}
