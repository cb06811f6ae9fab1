import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, stringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { clientEvent } from "../state/room.ts";
import { formatRoomToken, parseRoomToken } from "../state/sync-token.ts";
import { numberIn, parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";
const ROOM = `${CLIENT}/rooms/{roomId}`;

/** Rooms: making them, being in them, their events and their state. */
export function roomRoutes(services: Services): Route[] {
  const { rooms } = services;
  const joinedRoom = (call: AuthenticatedCall) => rooms.joined(call.device.userId, parameter(call, "roomId"));
  const join = (call: AuthenticatedCall): JsonObject => {
    rooms.join(call.device.userId, parameter(call, "roomId"));
    return { room_id: parameter(call, "roomId") };
  };
  return [
    authenticated("POST", `${CLIENT}/createRoom`, ({ device, body }) => ({
      room_id: rooms.create(device, body).roomId,
    })),
    authenticated("POST", `${CLIENT}/join/{roomId}`, join),
    authenticated("POST", `${ROOM}/join`, join),
    authenticated("POST", `${ROOM}/leave`, (call) => {
      rooms.leave(call.device.userId, parameter(call, "roomId"));
      return {};
    }),
    authenticated("POST", `${ROOM}/invite`, (call) => {
      rooms.invite(call.device.userId, parameter(call, "roomId"), stringIn(call.body, "user_id"));
      return {};
    }),
    authenticated("GET", `${CLIENT}/joined_rooms`, ({ device }) => ({
      joined_rooms: [...rooms.all()]
        .filter((room) => room.membership(device.userId)?.membership === "join")
        .map((room) => room.roomId),
    })),
    authenticated("GET", `${ROOM}/joined_members`, (call) => {
      const members = [...joinedRoom(call).members()].filter(([, member]) => member.membership === "join");
      return { joined: Object.fromEntries(members.map(([userId]) => [userId, {}])) };
    }),
    authenticated("PUT", `${ROOM}/send/{eventType}/{txnId}`, (call) => send(services, call)),
    authenticated("GET", `${ROOM}/messages`, (call) => messages(services, call)),
    authenticated("PUT", `${ROOM}/state/{eventType}/{stateKey?}`, (call) => {
      const event = { type: parameter(call, "eventType"), content: call.body, stateKey: parameter(call, "stateKey") };
      if (event.type === "m.room.member") {
        throw new MatrixError(403, "M_FORBIDDEN", "memberships change by join, leave and invite only");
      }
      return { event_id: joinedRoom(call).append(call.device.userId, event).eventId };
    }),
    authenticated("GET", `${ROOM}/state/{eventType}/{stateKey?}`, (call) => {
      const event = joinedRoom(call).stateEvent(parameter(call, "eventType"), parameter(call, "stateKey"));
      if (event === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such state");
      return event.content;
    }),
  ];
}

function send({ rooms, transactions }: Services, call: AuthenticatedCall): JsonObject {
  const { device, body } = call;
  const [roomId, type, txnId] = [parameter(call, "roomId"), parameter(call, "eventType"), parameter(call, "txnId")];
  const room = rooms.joined(device.userId, roomId);
  return transactions.once(device, ["send", roomId, type], txnId, () => ({
    event_id: room.append(device.userId, { type, content: body, origin: { device, txnId } }).eventId,
  }));
}

/** A page of a room's history, from a place in a direction; `end` is missing where there is no more. */
function messages({ rooms }: Services, call: AuthenticatedCall): JsonObject {
  const { device, query } = call;
  const room = rooms.joined(device.userId, parameter(call, "roomId"));
  const backward = query.get("dir") !== "f";
  const limit = numberIn(query, "limit", 10);
  const [from, to] = [query.get("from"), query.get("to")].map((token) => (token ? parseRoomToken(token) : undefined));
  const start = from ?? (backward ? (room.events(0).at(-1)?.position ?? 0) : 0);
  const range = backward ? room.events(to ?? 0, start).reverse() : room.events(start, to);
  const chunk = range.slice(0, limit);
  const last = chunk.at(-1);
  const more = last !== undefined && chunk.length < range.length;
  return {
    start: formatRoomToken(start),
    chunk: chunk.map((event) => ({ ...clientEvent(event, device), room_id: room.roomId })),
    ...(more ? { end: formatRoomToken(backward ? last.position - 1 : last.position) } : {}),
  };
}
