import { randomBytes } from "node:crypto";
import { type JsonObject, objectIn, objectsIn, optionalStringIn, stringIn, stringsIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import type { Device } from "./accounts.ts";
import { type Membership, Room } from "./room.ts";
import type { Stream } from "./stream.ts";

/** All rooms, and who may do what in them. Power levels are kept as state, and not enforced. */
export class Rooms {
  readonly #serverName: string;
  readonly #stream: Stream;
  readonly #rooms = new Map<string, Room>();

  constructor(serverName: string, stream: Stream) {
    this.#serverName = serverName;
    this.#stream = stream;
  }

  all(): Iterable<Room> {
    return this.#rooms.values();
  }

  /** @throws MatrixError `M_FORBIDDEN` for a room that is not there: its absence is not told apart from its privacy */
  get(roomId: string): Room {
    const room = this.#rooms.get(roomId);
    if (room === undefined) throw new MatrixError(403, "M_FORBIDDEN", "you are not in this room");
    return room;
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is not joined */
  joined(userId: string, roomId: string): Room {
    const room = this.get(roomId);
    if (room.membership(userId)?.membership !== "join") {
      throw new MatrixError(403, "M_FORBIDDEN", "you are not in this room");
    }
    return room;
  }

  /** Makes a room from the body of `/createRoom`, with the events that its preset asks for. */
  create(creator: Device, body: JsonObject): Room {
    const isPublic = (optionalStringIn(body, "preset") ?? optionalStringIn(body, "visibility"))?.startsWith("public");
    const room = new Room(`!${randomBytes(12).toString("base64url")}:${this.#serverName}`, this.#stream);
    const state = (type: string, content: JsonObject, stateKey = ""): void => {
      room.append(creator.userId, { type, content, stateKey });
    };
    state("m.room.create", {
      ...objectIn(body, "creation_content"),
      creator: creator.userId,
      room_version: optionalStringIn(body, "room_version") ?? "10",
    });
    this.#setMembership(room, creator.userId, creator.userId, "join");
    state("m.room.power_levels", {
      users: { [creator.userId]: 100 },
      users_default: 0,
      events_default: 0,
      state_default: 50,
      ...objectIn(body, "power_level_content_override"),
    });
    state("m.room.join_rules", { join_rule: isPublic === true ? "public" : "invite" });
    state("m.room.history_visibility", { history_visibility: "shared" });
    for (const event of objectsIn(body, "initial_state")) {
      state(stringIn(event, "type"), objectIn(event, "content"), optionalStringIn(event, "state_key"));
    }
    for (const field of ["name", "topic"]) {
      const value = optionalStringIn(body, field);
      if (value !== undefined) state(`m.room.${field}`, { [field]: value });
    }
    this.#rooms.set(room.roomId, room);
    for (const userId of stringsIn(body, "invite")) this.#setMembership(room, creator.userId, userId, "invite");
    return room;
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is neither invited nor the room public */
  join(userId: string, roomId: string): void {
    const room = this.get(roomId);
    const membership = room.membership(userId)?.membership;
    if (membership === "join") return;
    const rule = room.stateEvent("m.room.join_rules", "")?.content.join_rule;
    if (membership === "ban" || (membership !== "invite" && rule !== "public")) {
      throw new MatrixError(403, "M_FORBIDDEN", "you are not invited to this room");
    }
    this.#setMembership(room, userId, userId, "join");
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is neither in the room nor invited */
  leave(userId: string, roomId: string): void {
    const room = this.get(roomId);
    const membership = room.membership(userId)?.membership;
    if (membership === "leave") return;
    if (membership !== "join" && membership !== "invite") {
      throw new MatrixError(403, "M_FORBIDDEN", "you are not in this room");
    }
    this.#setMembership(room, userId, userId, "leave");
  }

  /** @throws MatrixError `M_FORBIDDEN` where the inviter is not joined, or the other is already */
  invite(userId: string, roomId: string, invited: string): void {
    const room = this.joined(userId, roomId);
    const membership = room.membership(invited)?.membership;
    if (membership === "join" || membership === "ban") {
      throw new MatrixError(403, "M_FORBIDDEN", `${invited} is already in this room, or banned from it`);
    }
    if (membership !== "invite") this.#setMembership(room, userId, invited, "invite");
  }

  #setMembership(room: Room, sender: string, userId: string, membership: Membership): void {
    room.append(sender, { type: "m.room.member", stateKey: userId, content: { membership } });
  }
}
