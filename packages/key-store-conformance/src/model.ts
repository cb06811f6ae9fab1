import type { Change, KeyRange, Page, StoredRecord } from "@holdfast/key-store-core";
import fc from "fast-check";

/**
 * What a device store is, in the fewest lines: lists of records that are
 * searched from end to end. It shares no code with the stores it judges.
 */
export class ModelDevice {
  #collections = new Map<string, StoredRecord[]>();

  /** A copy that changes by itself. */
  clone(): ModelDevice {
    const copy = new ModelDevice();
    copy.#collections = new Map([...this.#collections].map(([name, records]) => [name, [...records]]));
    return copy;
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const records = this.records(change.collection);
      this.#collections.set(change.collection, applied(records, change));
    }
  }

  get(collection: string, key: Uint8Array): Uint8Array | undefined {
    return this.records(collection).find((record) => order(record.key, key) === 0)?.value;
  }

  list(collection: string, range: KeyRange, page: Page): StoredRecord[] {
    return modelRange(this.records(collection), range, page);
  }

  count(collection: string, range: KeyRange): number {
    return this.records(collection).filter(({ key }) => contains(range, key)).length;
  }

  /** The records of a collection, in no particular order. */
  records(collection: string): readonly StoredRecord[] {
    return this.#collections.get(collection) ?? [];
  }

  /** Records and bytes of each collection that has any, by name. */
  usage(): Map<string, { records: number; bytes: number }> {
    const usage = new Map<string, { records: number; bytes: number }>();
    for (const [name, records] of this.#collections) {
      if (records.length === 0) continue;
      const bytes = records.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
      usage.set(name, { records: records.length, bytes });
    }
    return usage;
  }
}

function applied(records: readonly StoredRecord[], change: Change): StoredRecord[] {
  switch (change.type) {
    case "put":
      return [...records.filter(({ key }) => order(key, change.key) !== 0), { key: change.key, value: change.value }];
    case "delete":
      return records.filter(({ key }) => order(key, change.key) !== 0);
    case "deleteRange":
      return records.filter(({ key }) => !contains(change.range, key));
    case "dropCollection":
      return [];
  }
}

/** What a page of a range of these records is. */
export function modelRange(records: readonly StoredRecord[], range: KeyRange, page: Page): StoredRecord[] {
  const inside = records.filter(({ key }) => contains(range, key)).sort((a, b) => order(a.key, b.key));
  if (page.reverse) inside.reverse();
  const taken = inside.slice(0, page.limit);
  return page.keysOnly ? taken.map(({ key }) => ({ key, value: new Uint8Array(0) })) : taken;
}

function contains({ gt, gte, lt, lte }: KeyRange, key: Uint8Array): boolean {
  return (
    (gt === undefined || order(key, gt) > 0) &&
    (gte === undefined || order(key, gte) >= 0) &&
    (lt === undefined || order(key, lt) < 0) &&
    (lte === undefined || order(key, lte) <= 0)
  );
}

function order(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** One step of a random program. */
export type Step =
  | { readonly type: "commit"; readonly changes: readonly Change[] }
  | { readonly type: "batch"; readonly steps: readonly (Read | Commit)[]; readonly rejects: boolean }
  | { readonly type: "reopen" }
  | Read;

export type Commit = { readonly type: "commit"; readonly changes: readonly Change[] };

export type Read =
  | { readonly type: "getMany"; readonly collection: string; readonly keys: readonly Uint8Array[] }
  | { readonly type: "list"; readonly collection: string; readonly range: KeyRange; readonly page: Page }
  | { readonly type: "count"; readonly collection: string; readonly range: KeyRange };

// Few bytes and short keys, so that programs meet the same keys, their neighbours and their prefixes again.
const key = fc
  .array(fc.constantFrom(0x00, 0x01, 0x61, 0x7f, 0x80, 0xff), { maxLength: 3 })
  .map((bytes) => Uint8Array.from(bytes));

const value = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 8 }) },
  // Larger than the tiny cache of the property tests takes.
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((byte) => new Uint8Array(3_000).fill(byte)) },
);

const collection = fc.constantFrom("a", "b");

const lower = fc.oneof(
  fc.constant({}),
  key.map((gt) => ({ gt })),
  key.map((gte) => ({ gte })),
);
const upper = fc.oneof(
  fc.constant({}),
  key.map((lt) => ({ lt })),
  key.map((lte) => ({ lte })),
);
const range: fc.Arbitrary<KeyRange> = fc.tuple(lower, upper).map(([low, high]) => ({ ...low, ...high }));

const page: fc.Arbitrary<Page> = fc.record({
  limit: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(1_000)),
  reverse: fc.boolean(),
  keysOnly: fc.boolean(),
});

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ type: fc.constant("put" as const), collection, key, value }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("delete" as const), collection, key }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("deleteRange" as const), collection, range }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("dropCollection" as const), collection }) },
);

const commit: fc.Arbitrary<Commit> = fc.record({
  type: fc.constant("commit" as const),
  changes: fc.array(change, { maxLength: 8 }),
});

const read: fc.Arbitrary<Read> = fc.oneof(
  fc.record({ type: fc.constant("getMany" as const), collection, keys: fc.array(key, { maxLength: 6 }) }),
  fc.record({ type: fc.constant("list" as const), collection, range, page }),
  fc.record({ type: fc.constant("count" as const), collection, range }),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: commit },
  { weight: 8, arbitrary: read },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("batch" as const),
      steps: fc.array(fc.oneof(commit, read), { maxLength: 8 }),
      rejects: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "reopen" as const }) },
);

/** What random programs are made of. */
export const programParts = { key, range, page } as const;

/** Random programs over two collections of one device. */
export const programs: fc.Arbitrary<readonly Step[]> = fc.array(step, { maxLength: 30 });
