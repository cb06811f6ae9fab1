import { type DeviceDriver, DriverKeyStore, type KeyStoreCandidate, KeyStoreError } from "@holdfast/key-store-core";
import { MemoryStorage } from "@holdfast/key-store-memory";
import { MemoryDriver } from "../../../key-store-memory/src/driver.ts";

/** What of a store fails now. */
export interface Switches {
  /** The store cannot be reached: it is not ready, and every read and commit fails. */
  down: boolean;
  /** Reads of this collection fail. */
  reads: string | undefined;
  /** The next commit fails with this. */
  commit: KeyStoreError | undefined;
}

/** A key store that is durable for as long as this object is there, and fails when it is told to. */
export class SwitchableStore {
  readonly switches: Switches = { down: false, reads: undefined, commit: undefined };
  readonly #storage = new MemoryStorage();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** A candidate that makes a new key store on the same content. */
  get candidate(): KeyStoreCandidate {
    return { name: `${this.#name}, as the candidate is called`, create: async () => this.open() };
  }

  open(): DriverKeyStore {
    const driver = new MemoryDriver(this.#storage);
    const { switches } = this;
    const device = (inner: DeviceDriver): DeviceDriver =>
      overriding(inner, {
        // An answer from memory would not pass the switches.
        peek: undefined,
        getMany: async (collection: string, keys: readonly Uint8Array[]) => {
          check(switches.down || switches.reads === collection);
          return inner.getMany(collection, keys);
        },
        list: async (...args: Parameters<DeviceDriver["list"]>) => {
          check(switches.down || switches.reads === args[0]);
          return inner.list(...args);
        },
        commit: async (...args: Parameters<DeviceDriver["commit"]>) => {
          check(switches.down);
          const failure = switches.commit;
          switches.commit = undefined;
          if (failure !== undefined) throw failure;
          return inner.commit(...args);
        },
      });
    const wrapped = overriding(driver, {
      name: this.#name,
      persistence: "durable" as const,
      connect: async (...args: Parameters<MemoryDriver["connect"]>) => {
        check(switches.down);
        return driver.connect(...args);
      },
      acquire: async (...args: Parameters<MemoryDriver["acquire"]>) => {
        check(switches.down);
        const acquired = await driver.acquire(...args);
        return acquired.outcome === "acquired" ? { ...acquired, device: device(acquired.device) } : acquired;
      },
    });
    return new DriverKeyStore(wrapped, { cacheBytes: 0, operationTimeoutMs: 500, commitTimeoutMs: 500 });
  }
}

function check(fails: boolean): void {
  if (fails) throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "switched off");
}

/** An object with some of its members replaced. */
function overriding<T extends object>(target: T, members: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(members, property)) return members[property as keyof T];
      const member: unknown = Reflect.get(target, property, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
