import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { path } from "../http/path.ts";
import { clientErrors } from "../send/refusal.ts";
import { MEGOLM } from "./encryption-state.ts";
import type { Rooms } from "./rooms.ts";

/** How a room is made. */
export interface CreateRoomOptions {
  readonly name?: string | undefined;
  readonly topic?: string | undefined;
  /** User ids. */
  readonly invite?: readonly string[] | undefined;
  /** Whether it is encrypted from its first event on. Default: `true`, and `false` for a room that is `public`. */
  readonly encrypted?: boolean | undefined;
  /** Whether anybody may join. Default: `false`, those who are invited may. */
  readonly public?: boolean | undefined;
  /** Whether it is a conversation with those who are invited, and not a room of its own. Default: `false`. */
  readonly isDirect?: boolean | undefined;
  /** The local part of an alias, such as `lobby`. Default: it has none. */
  readonly alias?: string | undefined;
  /** More state for it to begin with, as the body of `/createRoom` has it. An `m.room.encryption` here is used as it is. */
  readonly initialState?: readonly JsonObject[] | undefined;
  /** More of that body, as the specification has it. */
  readonly more?: JsonObject | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a membership is changed. */
export interface MembershipOptions {
  /** Shown to those in the room. */
  readonly reason?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a room is joined. */
export interface JoinOptions extends MembershipOptions {
  /** Servers that are in the room, for one that ours does not know. */
  readonly via?: readonly string[] | undefined;
}

/**
 * Making rooms, and coming and going. Every method throws `REQUEST_REFUSED`
 * where the homeserver refuses, `LOGIN_REFUSED` where it has ended the session, `HOMESERVER_UNREACHABLE` where the outcome is open, and the signal's reason.
 */
export class RoomActions {
  readonly #api: HomeserverApi;
  readonly #rooms: Rooms;

  constructor(parts: { readonly api: HomeserverApi; readonly rooms: Rooms }) {
    this.#api = parts.api;
    this.#rooms = parts.rooms;
  }

  /** Makes a room, and answers with its id. Not tried again where the outcome is open: there would be two. */
  async createRoom(options: CreateRoomOptions = {}): Promise<string> {
    const { name, topic, invite, isDirect, alias, initialState = [], more, signal } = options;
    const { encrypted = options.public !== true } = options;
    const said = initialState.some(({ type }) => type === "m.room.encryption");
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: MEGOLM } };
    const body: JsonObject = {
      preset: options.public === true ? "public_chat" : "private_chat",
      visibility: options.public === true ? "public" : "private",
      name,
      topic,
      invite,
      is_direct: isDirect,
      room_alias_name: alias,
      ...more,
      initial_state: [...(encrypted && !said ? [encryption] : []), ...initialState],
    };
    return this.#roomId(() => this.#api.request("POST", "/v3/createRoom", { body, signal }));
  }

  /** Joins a room by its id or an alias; answers with its id. Does nothing where this user is in it. */
  async join(roomIdOrAlias: string, { via, reason, signal }: JoinOptions = {}): Promise<string> {
    // The query is part of the path here: it names one server after the other.
    // `server_name` is what servers before v1.12 of the specification know.
    const servers = new URLSearchParams();
    for (const server of via ?? []) {
      servers.append("via", server);
      servers.append("server_name", server);
    }
    const search = servers.size === 0 ? "" : `?${servers}`;
    const endpoint = `${path`/v3/join/${roomIdOrAlias}`}${search}`;
    let roomId = roomIdOrAlias;
    try {
      roomId = await this.#roomId(() =>
        this.#api.request("POST", endpoint, { body: { reason }, retry: "safe", signal }),
      );
      return roomId;
    } finally {
      // Even where the outcome is open. What is known of the room may be of another time, when this user was in it too.
      this.#rooms.cameOrWent(roomId);
    }
  }

  /** Invites a user. In an encrypted room the next message can be read by them, unless its history begins with their joining. */
  async invite(roomId: string, userId: string, { reason, signal }: MembershipOptions = {}): Promise<void> {
    const body = { user_id: userId, reason };
    try {
      await this.#post(path`/v3/rooms/${roomId}/invite`, body, signal);
    } finally {
      // Who is in the room has changed before a sync says so, or may have.
      this.#rooms.forgetMembers(roomId);
    }
  }

  /** Leaves a room, or refuses an invitation. */
  async leave(roomId: string, { reason, signal }: MembershipOptions = {}): Promise<void> {
    try {
      await this.#post(path`/v3/rooms/${roomId}/leave`, { reason }, signal);
    } finally {
      this.#rooms.cameOrWent(roomId);
    }
  }

  async #post(endpoint: string, body: JsonObject, signal: AbortSignal | undefined): Promise<void> {
    await clientErrors(() => this.#api.request("POST", endpoint, { body, retry: "safe", signal }));
  }

  async #roomId(request: () => Promise<JsonObject>): Promise<string> {
    const { room_id: roomId } = await clientErrors(request);
    if (typeof roomId === "string") return roomId;
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver did not say what it calls the room");
  }
}
