import type { JsonObject } from "../http/homeserver-api.ts";
import { arrayOf, numberOf, objectOf, textOf } from "../http/json.ts";
import type { RoomEvent, RoomUpdate, StrippedEvent, StrippedUpdate } from "./room-update.ts";

/** A sync response, its shape checked. What was malformed is left out. */
export interface SyncUpdate {
  readonly nextBatch: string;
  readonly toDevice: readonly JsonObject[];
  readonly deviceLists: { readonly changed: readonly string[]; readonly left: readonly string[] };
  /** By algorithm; `undefined` where the response says nothing of them. */
  readonly oneTimeKeyCounts: ReadonlyMap<string, number> | undefined;
  /** Algorithms; `undefined` where the homeserver does not know of fallback keys. */
  readonly unusedFallbackKeys: readonly string[] | undefined;
  readonly rooms: readonly RoomUpdate[];
  readonly stripped: readonly StrippedUpdate[];
  readonly accountData: readonly JsonObject[];
  /** How many of its parts were malformed. */
  readonly malformed: number;
}

/** Checks a response of `/sync`; `undefined` where it is not one: it has no token to go on from. */
export function parseSync(response: JsonObject): SyncUpdate | undefined {
  const nextBatch = textOf(response.next_batch);
  if (nextBatch === undefined) return undefined;
  const parser = new Parser();
  const rooms = objectOf(response.rooms) ?? {};
  const lists = objectOf(response.device_lists) ?? {};
  const counts = objectOf(response.device_one_time_keys_count);
  const fallback = response.device_unused_fallback_key_types;
  return {
    nextBatch,
    toDevice: parser.events(response.to_device, isObject),
    deviceLists: {
      changed: parser.texts(lists.changed).filter(isUserId),
      left: parser.texts(lists.left).filter(isUserId),
    },
    oneTimeKeyCounts: counts && new Map(Object.entries(counts).flatMap(parser.count)),
    unusedFallbackKeys: Array.isArray(fallback) ? parser.texts(fallback) : undefined,
    rooms: [...parser.rooms(rooms.join, "join"), ...parser.rooms(rooms.leave, "leave")],
    stripped: [
      ...parser.stripped(rooms.invite, "invite", "invite_state"),
      ...parser.stripped(rooms.knock, "knock", "knock_state"),
    ],
    accountData: parser.events(response.account_data, isObject),
    malformed: parser.malformed,
  };
}

/** Whether a value is an event of a room, as far as {@link RoomEvent} says. */
export function isRoomEvent(value: unknown): value is RoomEvent {
  const event = objectOf(value);
  return (
    event !== undefined &&
    textOf(event.type) !== undefined &&
    textOf(event.event_id) !== undefined &&
    textOf(event.sender) !== undefined &&
    objectOf(event.content) !== undefined &&
    numberOf(event.origin_server_ts) !== undefined &&
    (event.state_key === undefined || textOf(event.state_key) !== undefined) &&
    (event.unsigned === undefined || objectOf(event.unsigned) !== undefined)
  );
}

function isStrippedEvent(value: unknown): value is StrippedEvent {
  const event = objectOf(value);
  return (
    event !== undefined &&
    textOf(event.type) !== undefined &&
    textOf(event.sender) !== undefined &&
    objectOf(event.content) !== undefined &&
    textOf(event.state_key) !== undefined
  );
}

function isObject(value: unknown): value is JsonObject {
  return objectOf(value) !== undefined;
}

/** The crypto engine panics over what is not one; the length is the specification's. */
function isUserId(text: string): boolean {
  return /^@[^:]*:.+$/.test(text) && text.length <= 255;
}

function isRoomId(text: string): boolean {
  return text.startsWith("!") && text.length > 1 && text.length <= 255;
}

/** Takes a response apart and counts what it leaves out. */
class Parser {
  malformed = 0;

  /** The events of a section that has them under `events`. */
  events<T>(section: unknown, is: (value: unknown) => value is T): T[] {
    return this.#only(objectOf(section)?.events, is);
  }

  texts(values: unknown): string[] {
    return this.#only(values, (value) => typeof value === "string");
  }

  readonly count = ([name, value]: [string, unknown]): [string, number][] => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) return [[name, value as number]];
    this.malformed += 1;
    return [];
  };

  rooms(section: unknown, membership: RoomUpdate["membership"]): RoomUpdate[] {
    return this.#byRoom(section).map(([roomId, room]) => {
      const timeline = objectOf(room.timeline) ?? {};
      return {
        roomId,
        membership,
        state: this.events(room.state, isRoomEvent).filter(({ state_key }) => state_key !== undefined),
        timeline: this.events(timeline, isRoomEvent),
        limited: timeline.limited === true,
        prevBatch: textOf(timeline.prev_batch),
      };
    });
  }

  stripped(section: unknown, membership: StrippedUpdate["membership"], name: string): StrippedUpdate[] {
    return this.#byRoom(section).map(([roomId, room]) => ({
      roomId,
      membership,
      state: this.events(room[name], isStrippedEvent),
    }));
  }

  #byRoom(section: unknown): [string, JsonObject][] {
    return Object.entries(objectOf(section) ?? {}).flatMap(([roomId, value]) => {
      const room = objectOf(value);
      if (room !== undefined && isRoomId(roomId)) return [[roomId, room]];
      this.malformed += 1;
      return [];
    });
  }

  #only<T>(values: unknown, is: (value: unknown) => value is T): T[] {
    const all = arrayOf(values) as readonly unknown[];
    const good = all.filter(is);
    this.malformed += all.length - good.length;
    return good;
  }
}
