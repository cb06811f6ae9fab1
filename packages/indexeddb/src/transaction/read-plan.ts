import type { KeyRange, Page, RecordReader, StoredRecord } from "@holdfast/key-store-core";

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

interface Lookups {
  readonly keys: Uint8Array[];
  readonly slots: ValueSlot[];
}

interface Counting {
  readonly collection: string;
  readonly range: KeyRange;
  readonly slot: CountSlot;
}

interface Scan {
  readonly collection: string;
  readonly range: KeyRange;
  readonly page: Page;
  readonly slot: PageSlot;
}

/**
 * What a group of operations must read before it can run: collected first, so
 * that it takes one round trip, whatever the number of operations.
 */
export class ReadPlan {
  readonly #lookups = new Map<string, Lookups>();
  readonly #scans: Scan[] = [];
  readonly #counts: Counting[] = [];
  /** Whether the operation that is being planned is the first of its group: all before it have run. */
  isFirst = true;

  /** Plans to read a key's value. */
  lookup(collection: string, key: Uint8Array): ValueSlot {
    let lookups = this.#lookups.get(collection);
    if (lookups === undefined) {
      lookups = { keys: [], slots: [] };
      this.#lookups.set(collection, lookups);
    }
    const slot: ValueSlot = { value: undefined };
    lookups.keys.push(key);
    lookups.slots.push(slot);
    return slot;
  }

  /** Plans to list a page. */
  scan(collection: string, range: KeyRange, page: Page): PageSlot {
    const slot: PageSlot = { records: [] };
    this.#scans.push({ collection, range, page, slot });
    return slot;
  }

  /** Plans to count a range. */
  count(collection: string, range: KeyRange): CountSlot {
    const slot: CountSlot = { count: 0 };
    this.#counts.push({ collection, range, slot });
    return slot;
  }

  get isEmpty(): boolean {
    return this.#lookups.size === 0 && this.#scans.length === 0 && this.#counts.length === 0;
  }

  /** Reads everything. */
  async read(reader: RecordReader): Promise<void> {
    const reads: Promise<void>[] = [];
    for (const [collection, lookups] of this.#lookups) reads.push(readLookups(reader, collection, lookups));
    for (const scan of this.#scans) reads.push(readScan(reader, scan));
    for (const counting of this.#counts) reads.push(readCount(reader, counting));
    if (reads.length === 1) await reads[0];
    else await Promise.all(reads);
  }
}

async function readLookups(reader: RecordReader, collection: string, { keys, slots }: Lookups): Promise<void> {
  const values = await reader.getMany(collection, keys);
  slots.forEach((slot, at) => {
    slot.value = values[at];
  });
}

async function readScan(reader: RecordReader, { collection, range, page, slot }: Scan): Promise<void> {
  slot.records = await reader.list(collection, range, page);
}

async function readCount(reader: RecordReader, { collection, range, slot }: Counting): Promise<void> {
  slot.count = await reader.count(collection, range);
}
