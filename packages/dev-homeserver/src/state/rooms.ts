import { isDeepStrictEqual } from "node:util";
import { type JsonObject, optionalStringIn, stringsIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import type { Device } from "./accounts.ts";
import type { Memberships } from "./memberships.ts";
import { PowerLevels } from "./power-levels.ts";
import type { NewEvent, Room, RoomEvent } from "./room.ts";
import { makeRoom } from "./room-creation.ts";
import { upgradeRoom } from "./room-upgrade.ts";
import type { Stream } from "./stream.ts";

/** Of an event as servers pass it on; what surrounds the content is not counted here. */
const GREATEST_EVENT_BYTES = 65_536;

/** All rooms, their aliases, and who may see and send what in them. */
export class Rooms {
  readonly memberships: Memberships;
  readonly #serverName: string;
  readonly #stream: Stream;
  readonly #rooms = new Map<string, Room>();
  readonly #aliases = new Map<string, string>();
  readonly #forgotten = new Map<Room, Set<string>>();

  constructor(serverName: string, stream: Stream, memberships: Memberships) {
    this.#serverName = serverName;
    this.#stream = stream;
    this.memberships = memberships;
  }

  all(): Iterable<Room> {
    return this.#rooms.values();
  }

  /** The rooms that a user has to do with, or had, and has not forgotten. */
  of(userId: string): Room[] {
    return [...this.#rooms.values()].filter(
      (room) => room.membership(userId) !== undefined && !this.#hasForgotten(userId, room),
    );
  }

  /**
   * A room by its id or alias, for who wants to have to do with it.
   *
   * @throws MatrixError `M_NOT_FOUND`
   */
  find(idOrAlias: string): Room {
    const roomId = idOrAlias.startsWith("#") ? this.#aliases.get(idOrAlias) : idOrAlias;
    const room = roomId === undefined ? undefined : this.#rooms.get(roomId);
    if (room === undefined) throw new MatrixError(404, "M_NOT_FOUND", `${idOrAlias} is not a known room`);
    return room;
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is not joined; a room's absence is not told apart from its privacy */
  joined(userId: string, roomId: string): Room {
    const room = this.#rooms.get(roomId);
    if (room?.isJoined(userId) !== true) {
      throw new MatrixError(403, "M_FORBIDDEN", `User ${userId} not in room ${roomId}`);
    }
    return room;
  }

  /**
   * A room that a user may read, and up to which position.
   *
   * @throws MatrixError `M_FORBIDDEN` where the user never was in it, or has forgotten it, and not everybody may read it
   */
  readable(userId: string, roomId: string): { readonly room: Room; readonly upTo: number } {
    const room = this.#rooms.get(roomId);
    const member = room?.membership(userId);
    if (room?.isJoined(userId) === true) return { room, upTo: Number.POSITIVE_INFINITY };
    if (room?.stateEvent("m.room.history_visibility")?.content.history_visibility === "world_readable") {
      return { room, upTo: Number.POSITIVE_INFINITY };
    }
    if (room !== undefined && member !== undefined && room.joinsAfter(userId, 0) && !this.#hasForgotten(userId, room)) {
      return { room, upTo: member.since };
    }
    throw new MatrixError(403, "M_FORBIDDEN", `User ${userId} not in room ${roomId}`);
  }

  /** Makes a room from the body of `/createRoom`. */
  create(creator: Device, body: JsonObject): Room {
    const { memberships } = this;
    const alias = optionalStringIn(body, "room_alias_name");
    if (alias !== undefined && this.#aliases.has(`#${alias}:${this.#serverName}`)) {
      throw new MatrixError(400, "M_ROOM_IN_USE", "this alias is taken");
    }
    const invited = stringsIn(body, "invite");
    const creation = { serverName: this.#serverName, stream: this.#stream, memberships, creatorId: creator.userId };
    const room = makeRoom({ ...creation, body });
    this.#rooms.set(room.roomId, room);
    if (alias !== undefined) this.setAlias(`#${alias}:${this.#serverName}`, room);
    const isDirect = body.is_direct === true;
    for (const userId of invited) memberships.set(room, creator.userId, userId, "invite", { isDirect });
    return room;
  }

  /**
   * Sends an event, by the rules of the room. State that says what is already
   * there is not sent again: the answer is the event that said it.
   *
   * @throws MatrixError `M_FORBIDDEN` where the sender is not in the room or its power level is too low; 413 `M_TOO_LARGE`
   */
  send(userId: string, roomId: string, event: NewEvent): RoomEvent {
    const room = this.joined(userId, roomId);
    if (Buffer.byteLength(JSON.stringify(event.content)) > GREATEST_EVENT_BYTES) {
      throw new MatrixError(413, "M_TOO_LARGE", "event too large");
    }
    const isState = event.stateKey !== undefined;
    const levels = new PowerLevels(room);
    levels.demand(userId, levels.toSend(event.type, isState));
    if (event.stateKey?.startsWith("@") === true && event.stateKey !== userId) {
      throw new MatrixError(403, "M_FORBIDDEN", "You are not allowed to set others state");
    }
    const known = isState ? room.stateEvent(event.type, event.stateKey) : undefined;
    if (known?.sender === userId && isDeepStrictEqual(known.content, event.content)) return known;
    return room.append(userId, event);
  }

  /**
   * Takes the content of an event away.
   *
   * @throws MatrixError `M_FORBIDDEN` where it is another's and the power level is too low; `M_NOT_FOUND`
   */
  redact(userId: string, roomId: string, eventId: string, event: Omit<NewEvent, "type" | "redacts">): RoomEvent {
    const room = this.joined(userId, roomId);
    const target = room.event(eventId);
    if (target === undefined) throw new MatrixError(404, "M_NOT_FOUND", "Event not found.");
    const levels = new PowerLevels(room);
    levels.demand(userId, levels.toSend("m.room.redaction", false));
    if (target.sender !== userId) levels.demand(userId, levels.to("redact"));
    const content = { ...event.content, redacts: eventId };
    return room.append(userId, { ...event, type: "m.room.redaction", content, redacts: eventId });
  }

  /**
   * Replaces a room by one of another version, and answers with that.
   *
   * @throws MatrixError `M_FORBIDDEN`, `M_UNSUPPORTED_ROOM_VERSION`
   */
  upgrade(userId: string, roomId: string, version: string): Room {
    const old = this.joined(userId, roomId);
    const levels = new PowerLevels(old);
    levels.demand(userId, levels.toSend("m.room.tombstone", true));
    const { memberships } = this;
    const creation = { serverName: this.#serverName, stream: this.#stream, memberships, creatorId: userId };
    const replacement = upgradeRoom(old, version, creation);
    this.#rooms.set(replacement.roomId, replacement);
    for (const [alias, id] of this.#aliases) if (id === roomId) this.#aliases.set(alias, replacement.roomId);
    return replacement;
  }

  setAlias(alias: string, room: Room): void {
    this.#aliases.set(alias, room.roomId);
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  deleteAlias(alias: string): void {
    if (!this.#aliases.delete(alias)) throw new MatrixError(404, "M_NOT_FOUND", `Room alias ${alias} not found`);
  }

  /** @throws MatrixError `M_UNKNOWN` where the user is still in the room */
  forget(userId: string, roomId: string): void {
    const room = this.find(roomId);
    const membership = room.membership(userId)?.membership;
    if (membership !== "leave" && membership !== "ban") {
      throw new MatrixError(400, "M_UNKNOWN", `User ${userId} in room ${roomId}`);
    }
    const users = this.#forgotten.get(room) ?? new Set();
    this.#forgotten.set(room, users.add(userId));
  }

  #hasForgotten(userId: string, room: Room): boolean {
    const membership = room.membership(userId)?.membership;
    // Invited or joined again, one has to do with it again.
    return this.#forgotten.get(room)?.has(userId) === true && (membership === "leave" || membership === "ban");
  }
}
