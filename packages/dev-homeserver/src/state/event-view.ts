import type { JsonObject } from "../http/json.ts";
import type { Device } from "./accounts.ts";
import { redacted } from "./redaction.ts";
import type { Room, RoomEvent } from "./room.ts";

/** Whether a user may see an event, by the history visibility where it stands and what the user was to the room. */
export function isVisible(room: Room, event: RoomEvent, userId: string): boolean {
  if (event.visibility === "world_readable") return true;
  // Who leaves sees its own leaving.
  if (event.type === "m.room.member" && event.stateKey === userId) return true;
  const membership = room.membershipAt(userId, event.position);
  if (membership === "join") return true;
  if (event.visibility === "invited") return membership === "invite";
  return event.visibility === "shared" && room.joinsAfter(userId, event.position);
}

/** An event as the Client-Server API shows it to one device; without `room_id`, as sync leaves it out. */
export function clientEvent(room: Room, event: RoomEvent, viewer: Device): JsonObject {
  const redaction = room.redactionOf(event.eventId);
  const membership = room.membershipAt(viewer.userId, event.position) ?? "leave";
  return {
    type: event.type,
    event_id: event.eventId,
    sender: event.sender,
    origin_server_ts: event.timestamp,
    content: redaction === undefined ? event.content : redacted(event),
    ...(event.stateKey === undefined ? {} : { state_key: event.stateKey }),
    ...(event.redacts === undefined ? {} : { redacts: event.redacts }),
    unsigned: {
      age: Date.now() - event.timestamp,
      membership,
      ...(event.origin?.device === viewer ? { transaction_id: event.origin.txnId } : {}),
      ...(event.replaces === undefined
        ? {}
        : {
            replaces_state: event.replaces.eventId,
            prev_content: event.replaces.content,
            prev_sender: event.replaces.sender,
          }),
      ...(redaction === undefined ? {} : { redacted_because: eventInRoom(room, redaction, viewer) }),
    },
  };
}

/** An event with its `room_id`, as it is shown everywhere but in a sync. */
export function eventInRoom(room: Room, event: RoomEvent, viewer: Device): JsonObject {
  return { ...clientEvent(room, event, viewer), room_id: room.roomId };
}

/** What is shown of a state event to somebody outside of the room. */
export function strippedEvent({ type, sender, content, stateKey }: RoomEvent): JsonObject {
  return { type, sender, content, state_key: stateKey };
}
