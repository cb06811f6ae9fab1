import { randomBytes } from "node:crypto";
import { type JsonObject, objectIn, objectsIn, optionalStringIn, stringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import type { Memberships } from "./memberships.ts";
import { Room } from "./room.ts";
import type { Stream } from "./stream.ts";

/** The versions that rooms may have here, the default last but one. */
export const ROOM_VERSIONS: readonly string[] = Array.from({ length: 12 }, (_, index) => String(index + 1));
export const DEFAULT_ROOM_VERSION = "11";

type Preset = "private_chat" | "trusted_private_chat" | "public_chat";

/** What a room is made of besides the request. */
export interface RoomCreation {
  readonly serverName: string;
  readonly stream: Stream;
  readonly memberships: Memberships;
  readonly creatorId: string;
  /** The body of `/createRoom`. */
  readonly body: JsonObject;
  /** Default: a new one. */
  readonly roomId?: string | undefined;
}

/** An id for a new room: from version 12 on it is the hash of the first event, and names no server. */
export function newRoomId(version: string, serverName: string): string {
  const bytes = (count: number): string => randomBytes(count).toString("base64url");
  return Number(version) >= 12 ? `!${bytes(32)}` : `!${bytes(12)}:${serverName}`;
}

/**
 * The version in the field `room_version` or the like.
 *
 * @throws MatrixError `M_UNSUPPORTED_ROOM_VERSION`
 */
export function supportedVersion(version: string): string {
  if (ROOM_VERSIONS.includes(version)) return version;
  throw new MatrixError(400, "M_UNSUPPORTED_ROOM_VERSION", "rooms of this version cannot be made here");
}

/**
 * Makes a room with the events that its preset asks for, in the order in
 * which servers send them, up to its name and topic; invitations are the caller's.
 *
 * @throws MatrixError `M_UNSUPPORTED_ROOM_VERSION`; `M_BAD_JSON` and the like for a malformed body
 */
export function makeRoom({ serverName, stream, memberships, creatorId, body, roomId }: RoomCreation): Room {
  const version = supportedVersion(optionalStringIn(body, "room_version") ?? DEFAULT_ROOM_VERSION);
  const preset = presetOf(body);
  const initial = objectsIn(body, "initial_state");
  const given = (type: string): boolean => initial.some((event) => event.type === type && !event.state_key);
  const room = new Room(roomId ?? newRoomId(version, serverName), version, stream);
  const state = (type: string, content: JsonObject, stateKey = ""): void => {
    room.append(creatorId, { type, content, stateKey });
  };
  state("m.room.create", {
    ...objectIn(body, "creation_content"),
    // From version 11 on the sender says it.
    ...(Number(version) < 11 ? { creator: creatorId } : {}),
    room_version: version,
  });
  memberships.set(room, creatorId, creatorId, "join");
  if (!given("m.room.power_levels")) {
    state("m.room.power_levels", {
      ...powerLevels(creatorId, version, preset, body),
      ...objectIn(body, "power_level_content_override"),
    });
  }
  const alias = optionalStringIn(body, "room_alias_name");
  if (alias !== undefined) state("m.room.canonical_alias", { alias: `#${alias}:${serverName}` });
  if (!given("m.room.join_rules")) {
    state("m.room.join_rules", { join_rule: preset === "public_chat" ? "public" : "invite" });
  }
  if (!given("m.room.history_visibility")) state("m.room.history_visibility", { history_visibility: "shared" });
  if (preset !== "public_chat" && !given("m.room.guest_access")) {
    state("m.room.guest_access", { guest_access: "can_join" });
  }
  for (const event of initial) {
    state(stringIn(event, "type"), objectIn(event, "content"), optionalStringIn(event, "state_key"));
  }
  for (const field of ["name", "topic"]) {
    const value = optionalStringIn(body, field);
    if (value !== undefined) state(`m.room.${field}`, { [field]: value });
  }
  return room;
}

function presetOf(body: JsonObject): Preset {
  const preset = optionalStringIn(body, "preset");
  if (preset === undefined) return body.visibility === "public" ? "public_chat" : "private_chat";
  if (preset === "private_chat" || preset === "trusted_private_chat" || preset === "public_chat") return preset;
  throw new MatrixError(400, "M_BAD_JSON", "there is no such preset");
}

function powerLevels(creatorId: string, version: string, preset: Preset, body: JsonObject): JsonObject {
  const equals = preset === "trusted_private_chat" && Array.isArray(body.invite) ? body.invite.map(String) : [];
  // From version 12 on who made the room needs no level, and must not have one.
  const highest = Number(version) >= 12 ? equals : [creatorId, ...equals];
  return {
    users: Object.fromEntries(highest.map((userId) => [userId, 100])),
    users_default: 0,
    events: {
      "m.room.name": 50,
      "m.room.power_levels": 100,
      "m.room.history_visibility": 100,
      "m.room.canonical_alias": 50,
      "m.room.avatar": 50,
      "m.room.tombstone": Number(version) >= 12 ? 150 : 100,
      "m.room.server_acl": 100,
      "m.room.encryption": 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: preset === "public_chat" ? 50 : 0,
    historical: 100,
  };
}
