import { KeyStoreError } from "@holdfast/key-store-core";
import * as v from "valibot";
import type { Json, JsonObject } from "../http/homeserver-api.ts";
import type { RoomEncryption } from "./encryption-state.ts";

/** The collection of what is known of rooms. */
export const ROOMS_COLLECTION = "rooms";

const VISIBILITIES = ["invited", "joined", "shared", "world_readable"] as const;

/** Who may read what was sent before they came: `m.room.history_visibility`. */
export type RoomHistoryVisibility = (typeof VISIBILITIES)[number];

/** What this user is to a room. */
type RoomMembership = "join" | "invite" | "knock" | "leave";

/** What is known of a room. `null` is what no sync has told of yet. */
export interface RoomRecord {
  readonly roomId: string;
  readonly membership: RoomMembership | null;
  readonly encryption: RoomEncryption | null;
  readonly historyVisibility: RoomHistoryVisibility | null;
  /** The room that has taken this one's place (`m.room.tombstone`); empty where the tombstone names none, `null` without one. */
  readonly replacedBy: string | null;
  /** Who invited this user, where the invitation has said so. */
  readonly inviter: string | null;
}

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const schema = v.object({
  v: v.literal(1),
  roomId: v.string(),
  membership: v.nullable(v.picklist(["join", "invite", "knock", "leave"])),
  encryption: v.nullable(
    v.variant("kind", [
      v.object({ kind: v.literal("plain") }),
      v.object({
        kind: v.literal("encrypted"),
        algorithm: v.nullable(v.string()),
        rotationPeriodMs: positive,
        rotationPeriodMsgs: positive,
      }),
    ]),
  ),
  historyVisibility: v.nullable(v.picklist(VISIBILITIES)),
  replacedBy: v.nullable(v.string()),
  inviter: v.nullable(v.string()),
});

/** A room that nothing is known of. */
export function unknownRoom(roomId: string): RoomRecord {
  return { roomId, membership: null, encryption: null, historyVisibility: null, replacedBy: null, inviter: null };
}

/** The visibility that the content of `m.room.history_visibility` names; `undefined` where it names none that there is. */
export function visibilityOf(content: JsonObject): RoomHistoryVisibility | undefined {
  return VISIBILITIES.find((visibility) => visibility === content.history_visibility);
}

/** A record as it is stored. */
export function formatRoom(record: RoomRecord): JsonObject {
  return { v: 1, ...record } as unknown as JsonObject;
}

/**
 * A record as it was stored.
 *
 * @throws `ERR_KEY_STORE_CORRUPT` for anything else
 */
export function parseRoom(value: Json): RoomRecord {
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", "the record of a room cannot be read");
  const { v: _, ...record } = parsed.output;
  return record;
}

/** Whether two records say the same. */
export function sameRoom(one: RoomRecord | undefined, other: RoomRecord): boolean {
  return one !== undefined && canonical(one) === canonical(other);
}

function canonical({ roomId, membership, encryption, historyVisibility, replacedBy, inviter }: RoomRecord): string {
  const how =
    encryption?.kind === "encrypted"
      ? [encryption.algorithm, encryption.rotationPeriodMs, encryption.rotationPeriodMsgs]
      : encryption?.kind;
  return JSON.stringify([roomId, membership, how ?? null, historyVisibility, replacedBy, inviter]);
}
