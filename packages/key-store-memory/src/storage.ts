import { randomUUID } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import {
  type AcquireOutcome,
  type AcquireRequest,
  type CollectionUsage,
  compareBytes,
  type DeviceMove,
  type DeviceRef,
  type DeviceSummary,
  EMPTY,
  isBehind,
  type KeyStoreUsage,
  type LeaseHolder,
  type LeaseSummary,
  type StoredRecord,
} from "@holdfast/key-store-core";
import { MemoryCollection } from "./collection.ts";

/** One device: its row, as a database would have it, and its collections. */
export interface MemoryDevice {
  ref: DeviceRef;
  /** Its name in the storage's map. */
  name: string;
  epoch: bigint;
  revision: bigint;
  holder: LeaseHolder | undefined;
  /** Which driver keeps the lease in force; `undefined` where it has run out or was given back. */
  instance: object | undefined;
  /** A collection is here as long as it has a record. */
  readonly collections: Map<string, MemoryCollection>;
  move: DeviceMove | undefined;
}

/** What a snapshot holds. */
interface Snapshot {
  readonly id: string;
  readonly devices: readonly (Pick<MemoryDevice, "ref" | "epoch" | "revision" | "holder" | "move"> & {
    readonly collections: readonly (readonly [name: string, records: readonly StoredRecord[]])[];
  })[];
}

/** The most leases that `usage()` tells. */
const MAX_LEASES = 1_000;

/**
 * The devices of one or more {@link MemoryKeyStore}s of this process: what a
 * database is to the other adapters. It holds nothing outside the memory of
 * the process and needs no closing.
 */
export class MemoryStorage {
  /** @internal */
  readonly id: string;
  readonly #devices = new Map<string, MemoryDevice>();

  /**
   * @param snapshot what {@link MemoryStorage#snapshot} made of another storage, which this
   * one then is: the same id, devices and records, and no lease in force.
   * Default: a new storage, which has no device.
   * @throws whatever reading it throws, where it is something else
   */
  constructor(snapshot?: Uint8Array) {
    if (snapshot === undefined) {
      this.id = randomUUID();
      return;
    }
    const { id, devices } = deserialize(snapshot) as Snapshot;
    this.id = id;
    for (const { collections, ...row } of devices) {
      const device = { ...newDevice(row.ref, row.move), ...row };
      for (const [name, puts] of collections) {
        const collection = new MemoryCollection();
        collection.apply({ collection: name, drop: false, removed: [], deletes: [], puts });
        device.collections.set(name, collection);
      }
      this.#devices.set(device.name, device);
    }
  }

  /** Everything in it as bytes, by the structured clone of `node:v8`: for the same or a later version of Node.js. */
  snapshot(): Uint8Array {
    const everything = { start: EMPTY, end: undefined };
    const devices = Array.from(this.#devices.values(), ({ ref, epoch, revision, holder, move, collections }) => {
      const listed = Array.from(collections, ([name, collection]): [string, StoredRecord[]] => [
        name,
        collection.list(everything, { limit: Number.POSITIVE_INFINITY }),
      ]);
      return { ref, epoch, revision, holder, move, collections: listed };
    });
    return serialize({ id: this.id, devices } satisfies Snapshot);
  }

  /** @internal What the end of a process is to a database: the leases of the instance are over. */
  detach(instance: object): void {
    for (const device of this.#devices.values()) if (device.instance === instance) device.instance = undefined;
  }

  /** @internal What the end of every process is to a database. */
  detachAll(): void {
    for (const device of this.#devices.values()) device.instance = undefined;
  }

  /** @internal */
  acquire(request: AcquireRequest, instance: object): MemoryDevice | Exclude<AcquireOutcome, { outcome: "acquired" }> {
    const { device: ref, holder, create, force, forMove, created, known, acceptRollback } = request;
    const name = nameOf(ref);
    const found = this.#devices.get(name);
    const inForce = found && this.#holderOf(found);
    // The holder itself asks again when the answer to its first request was lost.
    if (inForce !== undefined && inForce.id !== holder.id && !force) return { outcome: "held", holder: inForce };
    const move = found?.move;
    if (!forMove && move !== undefined && move.status !== "active") return { outcome: "moving", move };
    const state = { epoch: found?.epoch ?? 0n, revision: found?.revision ?? 0n };
    if (!acceptRollback && isBehind(state, known)) return { outcome: "rolled-back", found: state };
    if (found === undefined && !create) return { outcome: "absent" };
    const device = found ?? newDevice(ref, created);
    this.#devices.set(name, device);
    device.epoch += 1n;
    device.holder = { ...holder };
    device.instance = instance;
    return device;
  }

  /** @internal Gives a device another name, which no device has. */
  rename(device: MemoryDevice, deviceId: string): void {
    this.#devices.delete(device.name);
    device.ref = { ...device.ref, deviceId };
    device.name = nameOf(device.ref);
    this.#devices.set(device.name, device);
  }

  /** @internal Whether the device is stored: false for one that was deleted, even where another has its name now. */
  has(device: MemoryDevice): boolean {
    return this.#devices.get(device.name) === device;
  }

  /** @internal */
  delete(ref: DeviceRef): "deleted" | "absent" | LeaseHolder {
    const device = this.#devices.get(nameOf(ref));
    if (device === undefined) return "absent";
    const holder = this.#holderOf(device);
    if (holder !== undefined) return holder;
    this.#devices.delete(nameOf(ref));
    return "deleted";
  }

  /** @internal */
  list(): DeviceSummary[] {
    const summaries = Array.from(this.#devices.values(), (device): DeviceSummary => {
      let [records, bytes] = [0, 0];
      for (const collection of device.collections.values()) {
        records += collection.size;
        bytes += collection.bytes;
      }
      const { ref, epoch, revision, move } = device;
      const status = move?.status ?? "active";
      return { ...ref, epoch, revision, holder: this.#holderOf(device), records, bytes, status };
    });
    return inByteOrder(summaries, ({ userId, deviceId }) => [userId, deviceId]);
  }

  /** @internal */
  usage(): KeyStoreUsage {
    const leases: LeaseSummary[] = [];
    const totals = new Map<string, { records: number; bytes: number }>();
    for (const device of this.#devices.values()) {
      const holder = this.#holderOf(device);
      if (holder !== undefined && leases.length < MAX_LEASES) leases.push({ ...device.ref, holder });
      for (const [name, { size, bytes }] of device.collections) {
        const total = totals.get(name) ?? { records: 0, bytes: 0 };
        totals.set(name, { records: total.records + size, bytes: total.bytes + bytes });
      }
    }
    const collections = Array.from(totals, ([collection, total]): CollectionUsage => ({ collection, ...total }));
    return {
      devices: this.#devices.size,
      leases: inByteOrder(leases, ({ userId, deviceId }) => [userId, deviceId]),
      collections: inByteOrder(collections, ({ collection }) => [collection]),
    };
  }

  /** @internal */
  collectionsOf({ collections }: MemoryDevice): CollectionUsage[] {
    const usage = Array.from(collections, ([collection, { size, bytes }]) => ({ collection, records: size, bytes }));
    return inByteOrder(usage, ({ collection }) => [collection]);
  }

  /** Who holds the device by a lease that is in force. */
  #holderOf({ holder, instance }: MemoryDevice): LeaseHolder | undefined {
    return instance === undefined ? undefined : holder;
  }
}

function newDevice(ref: DeviceRef, move: DeviceMove | undefined): MemoryDevice {
  const lease = { holder: undefined, instance: undefined };
  return { ref: { ...ref }, name: nameOf(ref), epoch: 0n, revision: 0n, ...lease, collections: new Map(), move };
}

/** A map's key for a device: no two devices share one. */
function nameOf({ userId, deviceId }: DeviceRef): string {
  return JSON.stringify([userId, deviceId]);
}

/** Sorts by the UTF-8 bytes of each part, the first that differs deciding. */
function inByteOrder<T>(items: readonly T[], partsOf: (item: T) => string[]): T[] {
  const keyed = items.map((item) => ({ item, parts: partsOf(item).map((part) => Buffer.from(part)) }));
  keyed.sort((a, b) => {
    for (const [index, part] of a.parts.entries()) {
      const order = compareBytes(part, b.parts[index] ?? part);
      if (order !== 0) return order;
    }
    return 0;
  });
  return keyed.map(({ item }) => item);
}
