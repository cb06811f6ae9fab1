import { RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/homeserver-api.ts";
import { textOf } from "../http/json.ts";
import { ROOMS_COLLECTION } from "../rooms/room-record.ts";
import type { Encryption } from "./encryption.ts";

/** How many rooms' sessions are discarded in one commit. */
const PAGE = 100;

/**
 * Discards the outbound Megolm sessions of all rooms: the next message to each
 * makes a new one. After a rollback they may have encrypted messages at
 * indexes that they are about to use again.
 *
 * @throws what reads of the store and `Encryption.run` throw
 */
export async function discardOutboundSessions(encryption: Encryption): Promise<void> {
  const records = encryption.collection<JsonObject>(ROOMS_COLLECTION);
  let after: Uint8Array | undefined;
  for (;;) {
    const page = await records.list({ gt: after }, { limit: PAGE });
    await encryption.run(async (machine) => {
      for (const { value } of page) {
        const roomId = textOf(value.roomId);
        if (roomId !== undefined) await machine.invalidateGroupSession(new RoomId(roomId));
      }
    });
    after = page.at(-1)?.key;
    if (page.length < PAGE) return;
  }
}
