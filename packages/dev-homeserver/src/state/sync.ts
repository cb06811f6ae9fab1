import type { JsonObject } from "../http/json.ts";
import type { Device } from "./accounts.ts";
import type { DeviceLists } from "./device-lists.ts";
import type { Keys } from "./keys.ts";
import { clientEvent, type Member, type Room, type RoomEvent } from "./room.ts";
import type { Rooms } from "./rooms.ts";
import type { Stream } from "./stream.ts";
import { formatRoomToken, formatSyncToken, START, type SyncToken } from "./sync-token.ts";
import type { ToDeviceMessages } from "./to-device.ts";

/** What one sync asks for. */
export interface SyncRequest {
  readonly device: Device;
  /** `undefined` asks for everything. */
  readonly since: SyncToken | undefined;
  /** The most events of each room's timeline. */
  readonly timelineLimit: number;
  /** How long to wait for something to tell, in milliseconds. A first sync does not wait. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What a sync tells of. */
export interface SyncSources {
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly keys: Keys;
  readonly deviceLists: DeviceLists;
  readonly toDevice: ToDeviceMessages;
  /** The most to-device messages in one response. */
  readonly toDeviceLimit: number;
}

interface Tidings {
  readonly response: JsonObject;
  readonly empty: boolean;
}

/** Puts the responses of `/sync` together. */
export class Sync {
  readonly #sources: SyncSources;

  constructor(sources: SyncSources) {
    this.#sources = sources;
  }

  /** The next response for a device: at once where there is something to tell, else as soon as there is. */
  async next(request: SyncRequest): Promise<JsonObject> {
    const { device, since, timeoutMs, signal } = request;
    if (since !== undefined) this.#sources.toDevice.acknowledge(device, since.toDevice);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { response, empty } = this.#tidings(request);
      const left = deadline - performance.now();
      if (since === undefined || !empty || left <= 0 || signal.aborted) return response;
      await this.#sources.stream.change(left, signal);
    }
  }

  #tidings({ device, since: given, timelineLimit }: SyncRequest): Tidings {
    const { stream, rooms, keys, deviceLists, toDevice, toDeviceLimit } = this.#sources;
    const since = given ?? START;
    const sections: Record<"join" | "invite" | "leave", JsonObject> = { join: {}, invite: {}, leave: {} };
    for (const room of rooms.all()) {
      const own = room.membership(device.userId);
      if (own === undefined) continue;
      const tidings = roomTidings(room, own, since.stream, timelineLimit, device);
      const section = sectionOf(own, given);
      if (section !== undefined && tidings !== undefined) sections[section][room.roomId] = tidings;
    }
    const messages = toDevice.after(device, since.toDevice, toDeviceLimit);
    // A first sync says nothing of device lists: the client knows nobody's yet.
    const lists = given === undefined ? { changed: [], left: [] } : deviceLists.after(device.userId, since.stream);
    const oneTimeKeys = keys.oneTimeKeys(device);
    const empty =
      Object.values(sections).every((section) => Object.keys(section).length === 0) &&
      messages.events.length === 0 &&
      lists.changed.length === 0 &&
      lists.left.length === 0;
    const response = {
      next_batch: formatSyncToken({ stream: stream.position, toDevice: messages.position }),
      rooms: sections,
      to_device: { events: messages.events },
      device_lists: lists,
      device_one_time_keys_count: oneTimeKeys.counts(),
      device_unused_fallback_key_types: oneTimeKeys.unusedFallbackTypes(),
    };
    return { response, empty };
  }
}

function sectionOf(own: Member, since: SyncToken | undefined): "join" | "invite" | "leave" | undefined {
  if (own.membership === "join") return "join";
  if (own.membership === "invite") return "invite";
  // Rooms that were left before the first sync are none of it.
  return since === undefined || own.membership === "knock" ? undefined : "leave";
}

/** What is new in a room; `undefined` where nothing is. */
function roomTidings(room: Room, own: Member, since: number, limit: number, viewer: Device): JsonObject | undefined {
  const isNew = own.since > since;
  if (own.membership === "invite") return isNew ? invitation(room, viewer) : undefined;
  if (own.membership !== "join" && !isNew) return undefined;
  // Who has just joined is shown the room from its start, who has left nothing after that.
  const from = own.membership === "join" && isNew ? 0 : since;
  const upTo = own.membership === "join" ? Number.POSITIVE_INFINITY : own.since;
  const events = room.events(from, upTo);
  const newest = events.at(-1);
  if (newest === undefined) return undefined;
  const timeline = limit === 0 ? [] : events.slice(-limit);
  const first = timeline[0];
  const start = first === undefined ? newest.position : first.position - 1;
  const state = room.state(start).filter((event) => event.position > from);
  return {
    timeline: {
      events: timeline.map((event) => clientEvent(event, viewer)),
      limited: timeline.length < events.length,
      prev_batch: formatRoomToken(start),
    },
    state: { events: state.map((event) => clientEvent(event, viewer)) },
    account_data: { events: [] },
    ephemeral: { events: [] },
    unread_notifications: { notification_count: 0, highlight_count: 0 },
  };
}

const SHOWN_TO_INVITED = new Set(["m.room.create", "m.room.join_rules", "m.room.name", "m.room.encryption"]);

function invitation(room: Room, viewer: Device): JsonObject {
  const shown = (event: RoomEvent): boolean =>
    SHOWN_TO_INVITED.has(event.type) || (event.type === "m.room.member" && event.stateKey === viewer.userId);
  const events = room.state().filter(shown);
  return {
    invite_state: {
      events: events.map(({ type, sender, content, stateKey }) => ({ type, sender, content, state_key: stateKey })),
    },
  };
}
