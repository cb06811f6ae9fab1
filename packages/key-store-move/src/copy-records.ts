import { createHash } from "node:crypto";
import { type CollectionUsage, type DeviceStore, KeyStoreError, type MovableDevice } from "@holdfast/key-store-core";

/** What a copy came to. */
export interface Copied {
  readonly records: number;
  readonly bytes: number;
  /** SHA-256 over every collection's name, key and value with their lengths, in order; hexadecimal. */
  readonly digest: string;
}

/** About how many bytes are in memory, and in one commit, at a time: 1 MiB. */
const PAGE_BYTES = 1024 * 1024;

/** The most records in one page. */
const PAGE_RECORDS = 1_000;

/**
 * Copies every record to a device that has none, or the first part of them
 * from an earlier call, and compares both ends as they are stored then.
 *
 * @throws `ERR_KEY_STORE_CORRUPT` where the copy, made anew, is still not the same; the reason of `signal`
 */
export async function copyRecords(
  source: MovableDevice,
  target: MovableDevice,
  signal: AbortSignal | undefined,
): Promise<Copied> {
  await copyMissing(source, target, signal);
  const original = await digestOf(source, signal);
  if (isSame(original, await digestOf(target, signal))) return original;
  // What an earlier call left was not the first part of it.
  for (const { collection } of await target.collections())
    await target.commit([{ type: "dropCollection", collection }]);
  await copyMissing(source, target, signal);
  const copied = await digestOf(target, signal);
  if (isSame(original, copied)) return original;
  const message = `the copy of device ${source.device.deviceId} has ${copied.records} records of ${copied.bytes} bytes (SHA-256 ${copied.digest}), the original ${original.records} of ${original.bytes} (${original.digest}): the move was not finished, and the original is whole`;
  throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", message);
}

/** Records go in the order of collections and keys, so that a part of them is the first part. */
async function copyMissing(
  source: MovableDevice,
  target: MovableDevice,
  signal: AbortSignal | undefined,
): Promise<void> {
  const begun = new Set((await target.collections()).map(({ collection }) => collection));
  for (const usage of await source.collections()) {
    const { collection } = usage;
    const after = begun.has(collection) ? await lastKey(target, collection) : undefined;
    for await (const page of pagesOf(source, usage, after, signal)) {
      await target.commit(page.map(({ key, value }) => ({ type: "put", collection, key, value })));
    }
  }
}

async function digestOf(device: MovableDevice, signal: AbortSignal | undefined): Promise<Copied> {
  const hash = createHash("sha256");
  let [records, bytes] = [0, 0];
  const add = (part: Uint8Array): void => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.byteLength));
    hash.update(length).update(part);
  };
  for (const usage of await device.collections()) {
    const before = { records, bytes };
    add(Buffer.from(usage.collection));
    for await (const page of pagesOf(device, usage, undefined, signal)) {
      for (const { key, value } of page) {
        add(key);
        add(value);
        records += 1;
        bytes += key.byteLength + value.byteLength;
      }
    }
    checkCounters(usage, records - before.records, bytes - before.bytes);
  }
  return { records, bytes, digest: hash.digest("hex") };
}

/** What is there must be what its commits have counted: a move must not make a loss into the truth. */
function checkCounters(usage: CollectionUsage, records: number, bytes: number): void {
  if (usage.records === records && usage.bytes === bytes) return;
  const message = `the collection ${usage.collection} has ${records} records of ${bytes} bytes, but its commits have counted ${usage.records} of ${usage.bytes}`;
  throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", message);
}

function isSame(one: Copied, other: Copied): boolean {
  return one.records === other.records && one.bytes === other.bytes && one.digest === other.digest;
}

/** A collection's records, in order, in pages of about {@link PAGE_BYTES}: more where some values are much larger than most. */
async function* pagesOf(
  device: DeviceStore,
  { collection, records, bytes }: CollectionUsage,
  after: Uint8Array | undefined,
  signal: AbortSignal | undefined,
) {
  const limit = Math.min(PAGE_RECORDS, Math.max(1, Math.floor((PAGE_BYTES * records) / Math.max(1, bytes))));
  for (let last = after; ; ) {
    signal?.throwIfAborted();
    const page = await device.list(collection, last === undefined ? {} : { gt: last }, { limit });
    const end = page.at(-1);
    if (end === undefined) return;
    yield page;
    if (page.length < limit) return;
    last = end.key;
  }
}

async function lastKey(device: DeviceStore, collection: string): Promise<Uint8Array | undefined> {
  const [last] = await device.list(collection, {}, { limit: 1, reverse: true, keysOnly: true });
  return last?.key;
}
