import type { JsonObject } from "../http/json.ts";
import type { Device } from "./accounts.ts";
import { clientEvent, isVisible, strippedEvent } from "./event-view.ts";
import type { Member, Room, RoomEvent } from "./room.ts";
import { type Summary, summaryOf } from "./room-summary.ts";
import type { SyncRequest, SyncSources } from "./sync.ts";
import { formatRoomToken } from "./sync-token.ts";

/** How many events a timeline holds where no filter says so, and at most, as real servers have it. */
const DEFAULT_TIMELINE_LIMIT = 10;
const GREATEST_TIMELINE_LIMIT = 100;

type Section = "join" | "invite" | "knock" | "leave";

/** The `rooms` of a sync: by section, each of which is there only if a room is in it. */
export function roomSections(sources: SyncSources, request: SyncRequest): JsonObject {
  const { device, since, filter } = request;
  if (since === undefined) sources.knownMembers.forget(device);
  const sections: Partial<Record<Section, JsonObject>> = {};
  for (const room of sources.rooms.of(device.userId)) {
    const own = room.membership(device.userId);
    if (own === undefined || !filter.rooms.matchesRoom(room.roomId)) continue;
    const section = sectionOf(own);
    const tidings = tidingsOf(sources, request, room, own, section);
    if (tidings !== undefined) sections[section] = { ...sections[section], [room.roomId]: tidings };
  }
  return sections;
}

function sectionOf({ membership }: Member): Section {
  return membership === "ban" ? "leave" : membership;
}

/** What is new in a room; `undefined` where nothing is. */
function tidingsOf(
  sources: SyncSources,
  request: SyncRequest,
  room: Room,
  own: Member,
  section: Section,
): JsonObject | undefined {
  const { device, since, filter } = request;
  const isNew = own.since > (since?.stream ?? 0);
  if (section === "join") return joinedRoom(sources, request, room);
  if (!isNew) return undefined;
  if (section === "leave") {
    // Rooms that were left before the first sync are none of it, unless they are asked for.
    if (since === undefined && !filter.includeLeave) return undefined;
    return leftRoom(sources, request, room, own);
  }
  return { [`${section}_state`]: { events: strippedState(room, device) } };
}

function joinedRoom(sources: SyncSources, request: SyncRequest, room: Room): JsonObject | undefined {
  const { device, since, filter, fullState } = request;
  const position = since?.stream ?? 0;
  // Who has just joined, be it again, is shown the room from its start.
  const newlyJoined = since !== undefined && room.membershipAt(device.userId, position) !== "join";
  const from = newlyJoined ? 0 : position;
  const accountData = sources.accountData
    .after(device.userId, room.roomId, from)
    .filter((event) => filter.roomAccountData.matches(event));
  const timeline = timelineOf(request, room, from, Number.POSITIVE_INFINITY, newlyJoined);
  const state = stateOf(sources, request, room, timeline, fullState ? 0 : from);
  if (!fullState && timeline.isEmpty && accountData.length === 0) return undefined;
  const changesMembers = [...timeline.events, ...state].some((event) => event.type === "m.room.member");
  const summarised = filter.state.lazyLoadMembers && (since === undefined || changesMembers);
  const summary = summarised ? summaryOf(room, device.userId) : {};
  const told = [...state, ...heroesNotIn([...timeline.events, ...state], sources, device, room, summary)];
  return {
    timeline: timeline.shown,
    state: { events: told.map((event) => clientEvent(room, event, device)) },
    account_data: { events: accountData },
    ephemeral: { events: [] },
    unread_notifications: { notification_count: 0, highlight_count: 0 },
    summary,
  };
}

function leftRoom(sources: SyncSources, request: SyncRequest, room: Room, own: Member): JsonObject {
  const { device, since } = request;
  const position = since?.stream ?? 0;
  const wasIn = room.membershipAt(device.userId, position) === "join";
  const from = wasIn || !room.joinsAfter(device.userId, position) ? position : 0;
  const timeline = timelineOf(request, room, from, own.since, false);
  const isMember = room.joinsAfter(device.userId, 0);
  const state = isMember ? stateOf(sources, request, room, timeline, from) : [];
  return {
    timeline: timeline.shown,
    state: { events: state.map((event) => clientEvent(room, event, device)) },
    account_data: { events: [] },
  };
}

interface Timeline {
  readonly events: readonly RoomEvent[];
  /** The position before its first event. */
  readonly start: number;
  /** Whether there was nothing to put into it, not even beyond the limit. */
  readonly isEmpty: boolean;
  readonly shown: JsonObject;
}

function timelineOf(request: SyncRequest, room: Room, from: number, upTo: number, newlyJoined: boolean): Timeline {
  const { device, filter } = request;
  const all = room.events(from, upTo);
  const seen = all.filter((event) => isVisible(room, event, device.userId) && filter.timeline.matches(event));
  const limit = Math.min(filter.timeline.limit ?? DEFAULT_TIMELINE_LIMIT, GREATEST_TIMELINE_LIMIT);
  const events = limit === 0 ? [] : seen.slice(-limit);
  const first = events[0];
  const start = first === undefined ? (all.at(-1)?.position ?? from) : first.position - 1;
  return {
    events,
    start,
    isEmpty: all.length === 0,
    shown: {
      events: events.map((event) => clientEvent(room, event, device)),
      limited: events.length < seen.length || newlyJoined,
      prev_batch: formatRoomToken(start),
    },
  };
}

/** What the state at the timeline's start has that the client was not told up to `from`. */
function stateOf(
  { knownMembers }: SyncSources,
  { device, filter }: SyncRequest,
  room: Room,
  timeline: Timeline,
  from: number,
): RoomEvent[] {
  const changed = room.state(timeline.start, from).filter((event) => filter.state.matches(event));
  if (!filter.state.lazyLoadMembers) return changed;
  const wanted = new Set(timeline.events.map((event) => event.sender));
  if (from === 0) wanted.add(device.userId);
  const met = [...wanted].flatMap((userId) => {
    const member = room.stateEventAt("m.room.member", userId, timeline.start);
    return member !== undefined && filter.state.matches(member) ? [member] : [];
  });
  const isMember = (event: RoomEvent): boolean => event.type === "m.room.member";
  // What a gap hides is told whole: only who is met for the first time is told lazily.
  const state = [...new Set([...changed.filter((event) => from > 0 || !isMember(event)), ...met])];
  knownMembers.onlyNew(device, timeline.events.filter(isMember));
  if (filter.state.includeRedundantMembers) return state;
  const unknown = new Set(knownMembers.onlyNew(device, state.filter(isMember)));
  return state.filter((event) => !isMember(event) || unknown.has(event));
}

/** The member events of a summary's heroes, without which the client could not name the room. */
function heroesNotIn(
  told: readonly RoomEvent[],
  { knownMembers }: SyncSources,
  device: Device,
  room: Room,
  summary: Summary,
): RoomEvent[] {
  const members = new Set(told.filter((event) => event.type === "m.room.member").map((event) => event.stateKey));
  const heroes = (summary["m.heroes"] ?? []).filter((userId) => !members.has(userId));
  const events = heroes
    .map((userId) => room.stateEvent("m.room.member", userId))
    .filter((event) => event !== undefined);
  return knownMembers.onlyNew(device, events);
}

const SHOWN_TO_INVITED = [
  "m.room.create",
  "m.room.join_rules",
  "m.room.canonical_alias",
  "m.room.avatar",
  "m.room.encryption",
  "m.room.name",
  "m.room.topic",
];

/** What somebody who is invited or knocks is shown of a room: what it is, who asked, and its own membership. */
function strippedState(room: Room, viewer: Device): JsonObject[] {
  const own = room.stateEvent("m.room.member", viewer.userId);
  const inviter = own === undefined ? undefined : room.stateEvent("m.room.member", own.sender);
  const events = [...SHOWN_TO_INVITED.map((type) => room.stateEvent(type)), inviter === own ? undefined : inviter, own];
  return events.filter((event) => event !== undefined).map(strippedEvent);
}
