import { isObject, type JsonObject } from "../http/json.ts";
import type { Room } from "./room.ts";
import { makeRoom, newRoomId, type RoomCreation, supportedVersion } from "./room-creation.ts";

/** The state that a replacement takes over from the room before it. */
const TAKEN_OVER = [
  "m.room.join_rules",
  "m.room.history_visibility",
  "m.room.guest_access",
  "m.room.name",
  "m.room.topic",
  "m.room.avatar",
  "m.room.encryption",
  "m.room.server_acl",
];

/**
 * Makes a room's replacement, closes the old one with a tombstone, and raises
 * what is needed to speak there. Its members are told by the tombstone only:
 * nobody is invited or moved.
 *
 * @throws MatrixError `M_UNSUPPORTED_ROOM_VERSION`
 */
export function upgradeRoom(old: Room, version: string, creation: Omit<RoomCreation, "body">): Room {
  const { creatorId, serverName } = creation;
  const roomId = newRoomId(supportedVersion(version), serverName);
  const content = (type: string): JsonObject | undefined => old.stateEvent(type)?.content;
  const initial = TAKEN_OVER.map((type) => ({ type, content: content(type) })).filter((event) => event.content);
  const levels = content("m.room.power_levels") ?? {};
  const tombstone = old.append(creatorId, {
    type: "m.room.tombstone",
    stateKey: "",
    content: { body: "This room has been replaced", replacement_room: roomId },
  });
  // From version 12 on a room's id hangs on its first event, which then cannot name an event that names the room.
  const lastEvent = Number(version) >= 12 ? {} : { event_id: tombstone.eventId };
  const replacement = makeRoom({
    ...creation,
    roomId,
    body: {
      room_version: version,
      creation_content: { predecessor: { room_id: old.roomId, ...lastEvent } },
      initial_state: initial,
      power_level_content_override: Number(version) >= 12 ? withoutLevelOf(creatorId, levels) : levels,
    },
  });
  const usersDefault = typeof levels.users_default === "number" ? levels.users_default : 0;
  const raised = Math.max(50, usersDefault + 1);
  old.append(creatorId, {
    type: "m.room.power_levels",
    stateKey: "",
    content: { ...levels, events_default: raised, invite: raised },
  });
  return replacement;
}

function withoutLevelOf(userId: string, levels: JsonObject): JsonObject {
  const users = isObject(levels.users) ? levels.users : {};
  return { ...levels, users: Object.fromEntries(Object.entries(users).filter(([id]) => id !== userId)) };
}
