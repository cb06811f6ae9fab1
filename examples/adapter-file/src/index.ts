import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  type DeviceDriver,
  DriverKeyStore,
  type KeyStoreDriver,
  KeyStoreError,
  type KeyStoreOptions,
} from "@holdfast/key-store-core";
import { MemoryDriver, MemoryStorage } from "@holdfast/key-store-memory";

/** Keys in a file that every commit writes anew: for one process, and for few sessions. */
export class FileKeyStore extends DriverKeyStore {
  constructor(path: string, options: KeyStoreOptions = {}) {
    super(fileDriver(path), { cacheBytes: 0, ...options });
  }
}

/** The hooks: those of the memory, each with its change on the disk before it answers. */
export function fileDriver(path: string): KeyStoreDriver {
  const user = {};
  let file: KeyFile | undefined;
  let memory = new MemoryDriver(new MemoryStorage());
  const opened = (): KeyFile => {
    if (file === undefined) throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `${path} is not open`);
    return file;
  };
  return {
    kind: "file",
    name: "File",
    persistence: "durable",
    mode: "development",
    async connect() {
      if (file === undefined || file.failure !== undefined) {
        file = KeyFile.open(path, user);
        memory = new MemoryDriver(file.storage);
      }
      return { ...(await memory.connect()), schemaVersion: 1 };
    },
    async acquire(request) {
      const outcome = await opened().write(() => memory.acquire(request));
      return outcome.outcome === "acquired" ? { ...outcome, device: deviceDriver(opened(), outcome.device) } : outcome;
    },
    listDevices: async () => opened().read(() => memory.listDevices()),
    usage: async () => opened().read(() => memory.usage()),
    deleteDevice: async (device) => opened().write(() => memory.deleteDevice(device)),
    async disconnect() {
      await memory.disconnect();
      file?.close(user);
      file = undefined;
    },
  };
}

function deviceDriver(file: KeyFile, memory: DeviceDriver): DeviceDriver {
  return {
    getMany: (collection, keys) => file.read(() => memory.getMany(collection, keys)),
    list: (collection, range, page) => file.read(() => memory.list(collection, range, page)),
    count: (collection, range) => file.read(() => memory.count(collection, range)),
    collections: () => file.read(() => memory.collections()),
    state: () => file.read(() => memory.state()),
    commit: (guard, changes) => file.write(() => memory.commit(guard, changes)),
    mark: (guard, mark) => file.write(() => memory.mark(guard, mark)),
    settle: (holderId) => file.write(() => memory.settle(holderId)),
    release: (holderId) => file.write(() => memory.release(holderId)),
  };
}

/** A file that this process has open, once for all stores on it; a lock keeps other processes out. */
class KeyFile {
  static readonly #files = new Map<string, KeyFile>();
  readonly storage: MemoryStorage;
  /** Why what is in memory is not what is on the disk. Nothing is answered from it then: the file is to be opened again. */
  failure: unknown;
  readonly #path: string;
  readonly #lock: DatabaseSync;
  readonly #users = new Set<object>();

  static open(path: string, user: object): KeyFile {
    const file = KeyFile.#files.get(path) ?? new KeyFile(path);
    KeyFile.#files.set(path, file);
    file.#users.add(user);
    return file;
  }

  private constructor(path: string) {
    this.#path = path;
    this.#lock = new DatabaseSync(`${path}.lock`);
    try {
      // The system takes this lock back when the process ends, however it ends.
      this.#lock.exec("begin exclusive");
      this.storage = existsSync(path) ? stored(path) : new MemoryStorage();
    } catch (error) {
      this.#lock.close();
      throw error;
    }
  }

  async read<T>(hook: () => Promise<T>): Promise<T> {
    if (this.failure !== undefined) throw this.failure;
    return hook();
  }

  async write<T>(hook: () => Promise<T>): Promise<T> {
    const result = await this.read(hook);
    await this.read(async () => this.#save());
    return result;
  }

  close(user: object): void {
    this.#users.delete(user);
    if (this.#users.size === 0) this.#forget();
  }

  /** Whole on the disk before it has its name, and its name on the disk before this returns: never half a file. */
  #save(): void {
    try {
      const bytes = this.storage.snapshot();
      writeFileSync(`${this.#path}.new`, Buffer.concat([sha256(bytes), bytes]), { mode: 0o600, flush: true });
      renameSync(`${this.#path}.new`, this.#path);
      const directory = openSync(dirname(this.#path), "r");
      fsyncSync(directory);
      closeSync(directory);
    } catch (error) {
      this.failure = error;
      this.#forget();
      throw error;
    }
  }

  #forget(): void {
    if (KeyFile.#files.get(this.#path) === this) KeyFile.#files.delete(this.#path);
    if (this.#lock.isOpen) this.#lock.close();
  }
}

/** What a file holds; a damaged one is kept as it is, for somebody to look at. */
function stored(path: string): MemoryStorage {
  const file = readFileSync(path);
  const bytes = file.subarray(32);
  if (sha256(bytes).equals(file.subarray(0, 32))) return new MemoryStorage(bytes);
  throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", `${path} is not what was written`);
}

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
