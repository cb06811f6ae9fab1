import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, optionalStringIn, stringIn } from "../http/json.ts";
import { authenticated, open, type Route } from "../http/router.ts";
import type { MembershipDetails } from "../state/memberships.ts";
import type { Room } from "../state/room.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";
const ROOM = `${CLIENT}/rooms/{roomId}`;
const ALIAS = `${CLIENT}/directory/room/{alias}`;

/** Rooms: making them, finding them, and being in them. */
export function roomRoutes({ rooms, serverName }: Services): Route[] {
  const { memberships } = rooms;
  const room = (call: AuthenticatedCall): Room => rooms.find(parameter(call, "roomId"));
  const entering = (enter: (room: Room, userId: string, details: MembershipDetails) => void) => {
    return (call: AuthenticatedCall): JsonObject => {
      enter(room(call), call.device.userId, detailsIn(call));
      return { room_id: room(call).roomId };
    };
  };
  const about = (act: (room: Room, userId: string, other: string, details: MembershipDetails) => void) => {
    return (call: AuthenticatedCall): JsonObject => {
      const other = stringIn(call.body, "user_id");
      act(rooms.joined(call.device.userId, parameter(call, "roomId")), call.device.userId, other, detailsIn(call));
      return {};
    };
  };
  const join = entering((...given) => memberships.join(...given));
  return [
    authenticated("POST", `${CLIENT}/createRoom`, ({ device, body }) => ({
      room_id: rooms.create(device, body).roomId,
    })),
    authenticated("POST", `${CLIENT}/join/{roomId}`, join),
    authenticated("POST", `${ROOM}/join`, join),
    authenticated(
      "POST",
      `${CLIENT}/knock/{roomId}`,
      entering((...given) => memberships.knock(...given)),
    ),
    authenticated("POST", `${ROOM}/leave`, (call) => {
      memberships.leave(room(call), call.device.userId, detailsIn(call));
      return {};
    }),
    authenticated("POST", `${ROOM}/forget`, (call) => {
      rooms.forget(call.device.userId, parameter(call, "roomId"));
      return {};
    }),
    authenticated(
      "POST",
      `${ROOM}/invite`,
      about((...given) => memberships.invite(...given)),
    ),
    authenticated(
      "POST",
      `${ROOM}/kick`,
      about((...given) => memberships.kick(...given)),
    ),
    authenticated(
      "POST",
      `${ROOM}/ban`,
      about((...given) => memberships.ban(...given)),
    ),
    authenticated(
      "POST",
      `${ROOM}/unban`,
      about((...given) => memberships.unban(...given)),
    ),
    authenticated("POST", `${ROOM}/upgrade`, (call) => {
      const version = stringIn(call.body, "new_version");
      return { replacement_room: rooms.upgrade(call.device.userId, parameter(call, "roomId"), version).roomId };
    }),
    authenticated("GET", `${CLIENT}/joined_rooms`, ({ device: { userId } }) => ({
      joined_rooms: rooms
        .of(userId)
        .filter((each) => each.isJoined(userId))
        .map((each) => each.roomId),
    })),
    open("GET", ALIAS, (call) => ({ room_id: rooms.find(parameter(call, "alias")).roomId, servers: [serverName] })),
    authenticated("PUT", ALIAS, (call) => {
      rooms.setAlias(parameter(call, "alias"), rooms.find(stringIn(call.body, "room_id")));
      return {};
    }),
    authenticated("DELETE", ALIAS, (call) => {
      rooms.deleteAlias(parameter(call, "alias"));
      return {};
    }),
  ];
}

function detailsIn({ body }: AuthenticatedCall): MembershipDetails {
  return { reason: optionalStringIn(body, "reason") };
}
