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
    toDevice: parser.events(response.to_device, isShallowObject),
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
    accountData: parser.events(response.account_data, isShallowObject),
    malformed: parser.malformed,
  };
}

/** How deeply events may be nested: the crypto engine reads 128 levels, and nothing that is meant needs as many. */
const DEEPEST = 100;

/** Level by level, and not by calls: what is nested too deeply would end them. */
function isShallow(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth <= DEEPEST; depth += 1) {
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
    if (level.length === 0) return true;
  }
  return false;
}

/** Whether a value is an event of a room, as far as {@link RoomEvent} says, and not nested too deeply to be kept. */
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
    (event.unsigned === undefined || objectOf(event.unsigned) !== undefined) &&
    isShallow(event)
  );
}

function isStateEvent(value: unknown): value is RoomEvent {
  return isRoomEvent(value) && value.state_key !== undefined;
}

/**
 * What says that a room is encrypted, where the rest of it is malformed: that
 * alone counts, because without it the room would be taken for a plain one.
 */
function saysEncrypted(value: unknown): RoomEvent[] {
  const event = objectOf(value);
  if (event?.type !== "m.room.encryption" || event.state_key !== "" || isRoomEvent(event)) return [];
  const content = objectOf(event.content);
  return [
    {
      type: "m.room.encryption",
      state_key: "",
      event_id: textOf(event.event_id) ?? "",
      sender: textOf(event.sender) ?? "",
      origin_server_ts: numberOf(event.origin_server_ts) ?? 0,
      content: content !== undefined && isShallow(content) ? content : {},
    },
  ];
}

function isStrippedEvent(value: unknown): value is StrippedEvent {
  const event = objectOf(value);
  return (
    event !== undefined &&
    textOf(event.type) !== undefined &&
    textOf(event.sender) !== undefined &&
    objectOf(event.content) !== undefined &&
    textOf(event.state_key) !== undefined &&
    isShallow(event)
  );
}

function isShallowObject(value: unknown): value is JsonObject {
  return objectOf(value) !== undefined && isShallow(value);
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
    const events = objectOf(section)?.events;
    if (events !== undefined && !Array.isArray(events)) this.malformed += 1;
    return this.#only(events, is);
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
      const before = this.malformed;
      const state = this.events(room.state, isStateEvent);
      const events = this.events(timeline, isRoomEvent);
      const encryption = [room.state, timeline].flatMap((section) =>
        arrayOf(objectOf(section)?.events).flatMap(saysEncrypted),
      );
      return {
        roomId,
        membership,
        state: [...state, ...encryption],
        timeline: events,
        limited: timeline.limited === true,
        prevBatch: textOf(timeline.prev_batch),
        incomplete: this.malformed > before,
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
