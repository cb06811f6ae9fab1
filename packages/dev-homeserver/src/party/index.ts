export { type Engine, type Identity, identityOf, inMemoryEngine, inOrder, sameIdentity } from "./engine.ts";
export type { Received, RoomEvent } from "./events.ts";
export { type Credentials, HomeserverClient, HomeserverError, path } from "./homeserver-client.ts";
export { deviceStoreJournal, type Journal, memoryJournal, type Progress } from "./journal.ts";
export { Party, type PartyOptions, type SyncReport } from "./party.ts";
export type { SyncResponse } from "./sync-response.ts";
