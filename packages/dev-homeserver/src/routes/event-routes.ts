import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, optionalStringIn, stringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import type { NewEvent, RoomEvent } from "../state/room.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const ROOM = "/_matrix/client/v3/rooms/{roomId}";

/** Sending: events, state and redactions. */
export function eventRoutes(services: Services): Route[] {
  const { rooms } = services;
  return [
    authenticated("PUT", `${ROOM}/send/{eventType}/{txnId}`, (call) => {
      const [roomId, type] = [parameter(call, "roomId"), parameter(call, "eventType")];
      return once(services, call, (origin) =>
        rooms.send(call.device.userId, roomId, { type, content: call.body, origin }),
      );
    }),
    authenticated("PUT", `${ROOM}/redact/{eventId}/{txnId}`, (call) => {
      const reason = optionalStringIn(call.body, "reason");
      const content = reason === undefined ? {} : { reason };
      return once(services, call, (origin) =>
        rooms.redact(call.device.userId, parameter(call, "roomId"), parameter(call, "eventId"), { content, origin }),
      );
    }),
    authenticated("PUT", `${ROOM}/state/{eventType}/{stateKey?}`, (call) => putState(services, call)),
  ];
}

/** One event for each transaction id of a device in a room, whatever was to be sent under it. */
function once(
  { transactions }: Services,
  call: AuthenticatedCall,
  send: (origin: NonNullable<NewEvent["origin"]>) => RoomEvent,
): JsonObject {
  const [roomId, txnId] = [parameter(call, "roomId"), parameter(call, "txnId")];
  return transactions.once(call.device, ["event", roomId], txnId, () => ({
    event_id: send({ device: call.device, txnId }).eventId,
  }));
}

function putState({ rooms }: Services, call: AuthenticatedCall): JsonObject {
  const { userId } = call.device;
  const [roomId, type, stateKey] = [
    parameter(call, "roomId"),
    parameter(call, "eventType"),
    parameter(call, "stateKey"),
  ];
  if (type !== "m.room.member") {
    return { event_id: rooms.send(userId, roomId, { type, content: call.body, stateKey }).eventId };
  }
  const details = { reason: optionalStringIn(call.body, "reason"), isDirect: call.body.is_direct === true };
  const room = rooms.find(roomId);
  const membership = stringIn(call.body, "membership");
  const { memberships } = rooms;
  if (membership === "join" && room.isJoined(userId) && stateKey === userId) {
    return { event_id: rooms.send(userId, roomId, { type, content: call.body, stateKey }).eventId };
  }
  if (membership === "join" && stateKey === userId) memberships.join(room, userId, details);
  else if (membership === "knock" && stateKey === userId) memberships.knock(room, userId, details);
  else if (membership === "leave" && stateKey === userId) memberships.leave(room, userId, details);
  else if (membership === "invite") memberships.invite(room, userId, stateKey, details);
  else if (membership === "leave") memberships.kick(room, userId, stateKey, details);
  else if (membership === "ban") memberships.ban(room, userId, stateKey, details);
  else throw new MatrixError(403, "M_FORBIDDEN", "this membership cannot be given");
  return { event_id: room.stateEvent("m.room.member", stateKey)?.eventId };
}
