import type { DeviceStore } from "@holdfast/key-store-core";
import type { RoomEvent } from "./events.ts";

/** How far a party has come with its homeserver. */
export interface Progress {
  /** The token to sync from. */
  readonly since: string;
  /** Events that have arrived and were not yet handed over, or could not be decrypted yet; oldest first. */
  readonly inbox: readonly RoomEvent[];
}

/** Where a party keeps its progress. */
export interface Journal {
  /** What was saved last; `undefined` where nothing ever was. */
  load(): Promise<Progress | undefined>;
  /** Called inside the engine's `run`, so that a durable engine commits it with its own state. */
  save(progress: Progress): Promise<void>;
}

/** A journal that ends with the process. */
export function memoryJournal(): Journal {
  let saved: Progress | undefined;
  return {
    load: () => Promise.resolve(saved),
    save: (progress) => {
      saved = progress;
      return Promise.resolve();
    },
  };
}

/** A journal in the store of the device itself: one record, unencrypted. */
export function deviceStoreJournal(store: Pick<DeviceStore, "get" | "commit">, collection = "party"): Journal {
  const key = new TextEncoder().encode("progress");
  return {
    load: async () => {
      const value = await store.get(collection, key);
      return value === undefined ? undefined : (JSON.parse(new TextDecoder().decode(value)) as Progress);
    },
    save: (progress) => {
      const value = new TextEncoder().encode(JSON.stringify(progress));
      return store.commit([{ type: "put", collection, key, value }]);
    },
  };
}
