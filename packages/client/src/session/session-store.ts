import type { Change, DeviceStore } from "@holdfast/key-store-core";
import type { JsonObject } from "../http/homeserver-api.ts";
import type { OpenCollection } from "../records/sealed-collection.ts";
import { Session, type SessionDevice } from "./session.ts";

const NAME = "session";
const KEY = Buffer.from("session");

/** Where a device's session is kept: one sealed record in the device's own store. */
export interface SessionStore {
  /**
   * The session that was saved; `undefined` where there is none.
   *
   * @throws `ERR_KEY_STORE_CORRUPT`, and what reads of a device store throw
   */
  load(): Promise<Session | undefined>;
  /** Marks the device as the one that is about to log in, durably: a start after a crash then logs in as it again. */
  begin(device: SessionDevice): Promise<void>;
  /** Saves a session in the place of the one before. It is durable when this resolves. */
  save(session: Session): Promise<void>;
  /** Deletes the session. It is gone for good when this resolves. */
  forget(): Promise<void>;
}

/** The session of the device that a device store is open for. */
export function sessionStore(deviceStore: DeviceStore, collection: OpenCollection): SessionStore {
  const records = collection<JsonObject>(NAME);
  // In a batch of its own: a commit that another batch takes with it resolves before it is durable.
  const commit = (change: Change) => deviceStore.batch(() => deviceStore.commit([change]));
  return {
    load: async () => Session.fromRecord(await records.get(KEY)),
    begin: ({ homeserver, userId, deviceId }) => commit(records.put(KEY, { homeserver, userId, deviceId })),
    save: (session) => commit(records.put(KEY, session.toRecord())),
    forget: () => commit(records.delete(KEY)),
  };
}

/** Whether a device has a session, or was about to have one: known without the store's key. */
export async function hasSession(deviceStore: DeviceStore): Promise<boolean> {
  return (await deviceStore.get(`client/${NAME}`, KEY)) !== undefined;
}
