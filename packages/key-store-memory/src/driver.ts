import type {
  AcquireOutcome,
  AcquireRequest,
  ByteRange,
  CollectionChanges,
  CollectionUsage,
  DeviceDriver,
  DeviceMark,
  DeviceRef,
  DeviceState,
  DeviceSummary,
  EngineInfo,
  Guard,
  KeyStoreDriver,
  KeyStoreUsage,
  LeaseHolder,
  Page,
  StoredRecord,
} from "@holdfast/key-store-core";
import { MemoryCollection } from "./collection.ts";
import type { MemoryDevice, MemoryStorage } from "./storage.ts";

/**
 * The hooks of a key store over a {@link MemoryStorage}, for adapters that
 * keep all records in memory and something else durable. Each is synchronous
 * inside, and so a transaction.
 */
export class MemoryDriver implements KeyStoreDriver {
  readonly kind = "memory";
  readonly name = "Memory";
  readonly persistence = "volatile";
  readonly mode = "ephemeral";
  readonly #storage: MemoryStorage;

  constructor(storage: MemoryStorage) {
    this.#storage = storage;
  }

  async connect(): Promise<EngineInfo> {
    return { version: process.versions.node, schemaVersion: 0, storeId: this.#storage.id };
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    const found = this.#storage.acquire(request, this);
    if ("outcome" in found) return found;
    const { epoch, revision, move } = found;
    const device = new MemoryDeviceDriver(this.#storage, found);
    return { outcome: "acquired", epoch, revision, device, ...(move && { move }) };
  }

  async listDevices(): Promise<DeviceSummary[]> {
    return this.#storage.list();
  }

  async deleteDevice(device: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    return this.#storage.delete(device);
  }

  async usage(): Promise<KeyStoreUsage> {
    return this.#storage.usage();
  }

  async disconnect(): Promise<void> {
    this.#storage.detach(this);
  }
}

class MemoryDeviceDriver implements DeviceDriver {
  readonly #storage: MemoryStorage;
  readonly #device: MemoryDevice;

  constructor(storage: MemoryStorage, device: MemoryDevice) {
    this.#storage = storage;
    this.#device = device;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const records = this.#collection(collection);
    return keys.map((key) => records?.get(key));
  }

  peek(collection: string, key: Uint8Array): Uint8Array | undefined {
    return this.#collection(collection)?.get(key);
  }

  async list(collection: string, range: ByteRange, page: Page): Promise<StoredRecord[]> {
    return this.#collection(collection)?.list(range, page) ?? [];
  }

  async count(collection: string, range: ByteRange): Promise<number> {
    return this.#collection(collection)?.count(range) ?? 0;
  }

  async commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    if (!this.#passes(guard)) return false;
    for (const change of changes) this.#apply(change);
    this.#device.revision += 1n;
    return true;
  }

  async mark(guard: Guard, { move, deviceId }: DeviceMark): Promise<boolean> {
    if (!this.#passes(guard)) return false;
    this.#device.move = move;
    if (deviceId !== undefined) this.#storage.rename(this.#device, deviceId);
    this.#device.revision += 1n;
    return true;
  }

  async collections(): Promise<CollectionUsage[]> {
    return this.#storage.has(this.#device) ? this.#storage.collectionsOf(this.#device) : [];
  }

  async settle(holderId: string): Promise<DeviceState | undefined> {
    if (this.#device.holder?.id === holderId) this.#device.epoch += 1n;
    return this.state();
  }

  async state(): Promise<DeviceState | undefined> {
    if (!this.#storage.has(this.#device)) return undefined;
    const { holder, epoch, revision } = this.#device;
    return { holder, epoch, revision };
  }

  async release(holderId: string): Promise<void> {
    if (this.#device.holder?.id !== holderId) return;
    this.#device.holder = undefined;
    this.#device.instance = undefined;
  }

  #passes(guard: Guard): boolean {
    const { holder, epoch, revision } = this.#device;
    if (!this.#storage.has(this.#device)) return false;
    return holder?.id === guard.holderId && epoch === guard.epoch && revision === guard.revision;
  }

  /** `undefined` where there are no records, as in a device that was deleted. */
  #collection(name: string): MemoryCollection | undefined {
    return this.#storage.has(this.#device) ? this.#device.collections.get(name) : undefined;
  }

  #apply(changes: CollectionChanges): void {
    const { collections } = this.#device;
    if (changes.drop) {
      collections.delete(changes.collection);
      return;
    }
    let collection = collections.get(changes.collection);
    if (collection === undefined) {
      collection = new MemoryCollection();
      collections.set(changes.collection, collection);
    }
    collection.apply(changes);
    if (collection.size === 0) collections.delete(changes.collection);
  }
}
