import type { JsonObject } from "../http/homeserver-api.ts";
import type { RoomUpdate, StrippedUpdate } from "../sync/room-update.ts";
import { encryptionOf, harden } from "./encryption-state.ts";
import { type RoomRecord, visibilityOf } from "./room-record.ts";

/** A state event, whole or stripped. */
interface StateEvent {
  readonly event_id?: string;
  readonly type: string;
  readonly state_key?: string;
  readonly content: JsonObject;
}

/** Told of what a homeserver may not change, and tried to. */
export type OnRefused = (why: string, event: StateEvent) => void;

/**
 * What is known of a room after a sync has told of it. State before the
 * timeline comes first, then what the timeline changes.
 */
export function applyUpdate(known: RoomRecord, update: RoomUpdate, onRefused: OnRefused): RoomRecord {
  let record: RoomRecord = { ...known, membership: update.membership };
  if (update.membership === "join") record = { ...record, inviter: null };
  if (update.membership === "join" && known.membership !== "join") record = withoutChangeable(record);
  for (const event of [...update.state, ...update.timeline]) record = applyState(record, event, onRefused);
  if (!tellsAll(update)) return record;
  return {
    ...record,
    encryption: record.encryption ?? { kind: "plain" },
    historyVisibility: record.historyVisibility ?? "shared",
  };
}

/**
 * Whether a sync tells all of a room: where its creation is among what is told,
 * everything since then is. Not where something could not be read: it may have
 * been what makes the room encrypted.
 */
export function tellsAll({ state, timeline, incomplete }: RoomUpdate): boolean {
  const created = ({ type, state_key }: StateEvent): boolean => type === "m.room.create" && state_key === "";
  return incomplete !== true && (state.some(created) || timeline.some(created));
}

/** What is left of a record when this user comes back: whatever it says the room may have changed meanwhile. */
function withoutChangeable(record: RoomRecord): RoomRecord {
  const encryption = record.encryption?.kind === "encrypted" ? record.encryption : null;
  return { ...record, encryption, historyVisibility: null };
}

/**
 * What is known of a room after an invitation or a knock. Of its stripped
 * state, which nobody vouches for, only who invites is kept: all else is told by
 * the first sync after joining.
 */
export function applyStripped(known: RoomRecord, { membership, state }: StrippedUpdate, userId: string): RoomRecord {
  const invitation = state.findLast(
    ({ type, state_key, content }) =>
      type === "m.room.member" && state_key === userId && content.membership === "invite",
  );
  return { ...known, membership, inviter: invitation?.sender ?? null };
}

function applyState(record: RoomRecord, event: StateEvent, onRefused: OnRefused): RoomRecord {
  if (event.state_key !== "") return record;
  switch (event.type) {
    case "m.room.encryption": {
      const { encryption, ignored } = harden(record.encryption, encryptionOf(event.content));
      if (ignored !== undefined) onRefused(ignored, event);
      return { ...record, encryption };
    }
    case "m.room.history_visibility":
      return { ...record, historyVisibility: visibilityOf(event.content) ?? record.historyVisibility };
    case "m.room.tombstone": {
      const { replacement_room: replacement } = event.content;
      return { ...record, replacedBy: typeof replacement === "string" ? replacement : "" };
    }
    default:
      return record;
  }
}
