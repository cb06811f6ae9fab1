import { type DeviceStore, type KeyStore, KeyStoreError, type OpenDeviceOptions } from "@holdfast/key-store-core";

/**
 * A key store as it must not be: its devices have no batches, so that each
 * IndexedDB transaction is a commit of its own; and after a failure they go on
 * with a new connection, and tell nobody.
 */
export function withoutBatches(keyStore: KeyStore): KeyStore {
  return replacing(keyStore, {
    openDevice: async (device, options) => {
      const store = await keyStore.openDevice(device, options);
      return store && forgetful(keyStore, store, { ...options, lease: "take-over" });
    },
  });
}

function forgetful(keyStore: KeyStore, opened: DeviceStore, options: OpenDeviceOptions): DeviceStore {
  let current = Promise.resolve(opened);
  const usable = (): Promise<DeviceStore> => {
    current = current.then(async (store) => (store.failed.aborted ? reopened(keyStore, store, options) : store));
    return current;
  };
  return replacing(opened, {
    get: async (...read) => (await usable()).get(...read),
    getMany: async (...read) => (await usable()).getMany(...read),
    list: async (...read) => (await usable()).list(...read),
    count: async (...read) => (await usable()).count(...read),
    commit: async (changes) => (await usable()).commit(changes),
    batch: (work) => work(),
    close: async () => (await current).close(),
    failed: new AbortController().signal,
  });
}

async function reopened(keyStore: KeyStore, { device }: DeviceStore, options: OpenDeviceOptions): Promise<DeviceStore> {
  const store = await keyStore.openDevice(device, options);
  if (store === null) throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the key store is not ready");
  return store;
}

/** An object with some of its members replaced. */
function replacing<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(_, property) {
      const member: unknown = Reflect.get(property in members ? members : target, property);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
