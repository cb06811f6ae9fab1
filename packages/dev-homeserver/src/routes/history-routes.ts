import type { AuthenticatedCall } from "../http/call.ts";
import { isObject, type JsonObject } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { eventInRoom, isVisible } from "../state/event-view.ts";
import { eventFilterIn } from "../state/filters.ts";
import type { Room, RoomEvent } from "../state/room.ts";
import { formatRoomToken, parseRoomToken } from "../state/sync-token.ts";
import { numberIn, parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const ROOM = "/_matrix/client/v3/rooms/{roomId}";
const RELATIONS = "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}";
const LONGEST_PAGE = 1000;

/** What of a room one user may read. */
interface View {
  readonly room: Room;
  /** The last position that the user sees: where it left. */
  readonly upTo: number;
  readonly call: AuthenticatedCall;
}

/** Reading what was said in rooms. */
export function historyRoutes({ rooms }: Services): Route[] {
  const view = (call: AuthenticatedCall): View => ({
    ...rooms.readable(call.device.userId, parameter(call, "roomId")),
    call,
  });
  const related = (call: AuthenticatedCall): JsonObject => relations(view(call));
  return [
    authenticated("GET", `${ROOM}/messages`, (call) => messages(view(call))),
    authenticated("GET", `${ROOM}/event/{eventId}`, (call) => {
      const { room } = view(call);
      return eventInRoom(room, eventOf(view(call)), call.device);
    }),
    authenticated("GET", `${ROOM}/context/{eventId}`, (call) => context(view(call))),
    authenticated("GET", RELATIONS, related),
    authenticated("GET", `${RELATIONS}/{relType}`, related),
    authenticated("GET", `${RELATIONS}/{relType}/{eventType}`, related),
  ];
}

/** A page of a room's history, from a place in a direction; `end` is missing where the page is empty. */
function messages(view: View): JsonObject {
  const { room, upTo, call } = view;
  const { query } = call;
  const filter = eventFilterIn(query);
  const backward = query.get("dir") === "b";
  const [from, to] = [query.get("from"), query.get("to")].map((token) => (token ? parseRoomToken(token) : undefined));
  const start = from ?? (backward ? Math.min(upTo, room.events(0).at(-1)?.position ?? 0) : 0);
  const range = backward ? room.events(to ?? 0, Math.min(start, upTo)).reverse() : room.events(start, to ?? upTo);
  const seen = range.filter((event) => event.position <= upTo && sees(view, event) && filter.matches(event));
  const chunk = seen.slice(0, limitOf(query, filter.limit));
  const last = chunk.at(-1);
  const senders = new Set(chunk.map((event) => event.sender));
  const members = filter.lazyLoadMembers
    ? room
        .state(chunk[0]?.position ?? start)
        .filter((event) => event.type === "m.room.member" && senders.has(event.stateKey ?? ""))
    : [];
  return {
    start: formatRoomToken(start),
    chunk: chunk.map((event) => eventInRoom(room, event, call.device)),
    ...(last === undefined ? {} : { end: formatRoomToken(backward ? last.position - 1 : last.position) }),
    ...(members.length === 0 ? {} : { state: members.map((event) => eventInRoom(room, event, call.device)) }),
  };
}

/** An event with what is around it, and the state behind that. */
function context(view: View): JsonObject {
  const { room, upTo, call } = view;
  const filter = eventFilterIn(call.query);
  const event = eventOf(view);
  const limit = limitOf(call.query, filter.limit);
  const seen = (range: RoomEvent[]) => range.filter((each) => sees(view, each) && filter.matches(each));
  const before = seen(room.events(0, event.position - 1)).slice(-Math.floor(limit / 2) || Number.POSITIVE_INFINITY);
  const after = seen(room.events(event.position, upTo)).slice(0, Math.ceil(limit / 2));
  const shown = (events: readonly RoomEvent[]) => events.map((each) => eventInRoom(room, each, call.device));
  const first = before[0] ?? event;
  const last = after.at(-1) ?? event;
  return {
    events_before: shown(before.toReversed()),
    event: eventInRoom(room, event, call.device),
    events_after: shown(after),
    state: shown(room.state(last.position)),
    start: formatRoomToken(first.position - 1),
    end: formatRoomToken(last.position),
  };
}

/** The events that refer to another one, newest first unless `dir` says otherwise. */
function relations(view: View): JsonObject {
  const { room, upTo, call } = view;
  const parent = eventOf(view);
  const [relType, eventType] = [call.parameters.relType, call.parameters.eventType];
  const related = room.events(0, upTo).filter((event) => {
    const relation = event.content["m.relates_to"];
    if (!isObject(relation) || relation.event_id !== parent.eventId || room.redactionOf(event.eventId)) return false;
    if (relType !== undefined && relation.rel_type !== relType) return false;
    return (eventType === undefined || event.type === eventType) && sees(view, event);
  });
  const backward = call.query.get("dir") !== "f";
  const from = call.query.get("from");
  const position = from ? parseRoomToken(from) : undefined;
  const ordered = backward ? related.toReversed() : related;
  const rest = ordered.filter((event) => {
    return position === undefined || (backward ? event.position <= position : event.position > position);
  });
  const chunk = rest.slice(0, limitOf(call.query, undefined));
  const last = chunk.at(-1);
  const more = last !== undefined && chunk.length < rest.length;
  return {
    chunk: chunk.map((event) => eventInRoom(room, event, call.device)),
    ...(more ? { next_batch: formatRoomToken(backward ? last.position - 1 : last.position) } : {}),
  };
}

function eventOf(view: View): RoomEvent {
  const event = view.room.event(parameter(view.call, "eventId"));
  if (event === undefined || event.position > view.upTo || !sees(view, event)) {
    throw new MatrixError(404, "M_NOT_FOUND", "Event not found.");
  }
  return event;
}

function sees({ room, call }: View, event: RoomEvent): boolean {
  return isVisible(room, event, call.device.userId);
}

function limitOf(query: URLSearchParams, filtered: number | undefined): number {
  return Math.min(numberIn(query, "limit", filtered ?? 10), LONGEST_PAGE);
}
