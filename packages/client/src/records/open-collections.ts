import type { DeviceStore } from "@holdfast/key-store-core";
import type { Json } from "../http/homeserver-api.ts";
import { corrupt, createSeal, type Seal } from "./seal.ts";
import type { OpenCollection, SealedCollection } from "./sealed-collection.ts";

/** Before the names of all collections of records, so that none is ever one of the crypto engine's. */
const PREFIX = "client/";

/**
 * The client's own collections on one open device store, sealed under the
 * store's key; plain where it has none. Does no I/O.
 *
 * @param storeKey 32 bytes, as `storeKey` answers with them
 */
export function openCollections(deviceStore: DeviceStore, storeKey: Uint8Array | undefined): OpenCollection {
  const seal = createSeal(deviceStore.device, storeKey);
  return <T extends Json>(name: string) => collection<T>(deviceStore, seal, `${PREFIX}${name}`);
}

function collection<T extends Json>(store: DeviceStore, seal: Seal, name: string): SealedCollection<T> {
  const open = (key: Uint8Array, bytes: Uint8Array): T => {
    const json = seal.open(name, key, bytes);
    try {
      // Nobody else can have written it, so it has the shape that this collection's owner gave it.
      return JSON.parse(json) as T;
    } catch {
      return corrupt(name, "it is not JSON");
    }
  };
  return {
    name,
    async get(key) {
      const bytes = await store.get(name, key);
      return bytes === undefined ? undefined : open(key, bytes);
    },
    async list(range, { limit, reverse }) {
      const records = await store.list(name, range, { limit, reverse });
      return records.map(({ key, value }) => ({ key, value: open(key, value) }));
    },
    count: (range) => store.count(name, range),
    put: (key, value) => ({
      type: "put",
      collection: name,
      key,
      value: seal.seal(name, key, JSON.stringify(value)),
    }),
    delete: (key) => ({ type: "delete", collection: name, key }),
    deleteRange: (range) => ({ type: "deleteRange", collection: name, range }),
    keyOf: (...names) => seal.keyOf(name, names),
  };
}
