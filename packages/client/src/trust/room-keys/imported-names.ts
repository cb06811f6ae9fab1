import type { RoomKeyImportResult } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { RoomKey } from "../../crypto/encryption.ts";

/** The room keys that the engine has imported: those that are new, or better than what was there. */
export function importedNames(result: RoomKeyImportResult): RoomKey[] {
  return [...result.keys()].flatMap(([roomId, senders]) =>
    [...senders.values()].flatMap((sessionIds) => [...sessionIds].map((sessionId) => ({ roomId, sessionId }))),
  );
}
