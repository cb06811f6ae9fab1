import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, objectIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import type { BackedUpSession } from "../state/backed-up-session.ts";
import type { Scope } from "../state/backups.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const ROOM_KEYS = "/_matrix/client/v3/room_keys";
const KEYS = `${ROOM_KEYS}/keys`;
const ROOM = `${KEYS}/{roomId}`;
const SESSION = `${ROOM}/{sessionId}`;

type Rooms = ReadonlyMap<string, ReadonlyMap<string, BackedUpSession>>;

/** Backups of room keys: their versions, and their sessions at three levels. */
export function backupRoutes({ backups }: Services): Route[] {
  const put = (read: (call: AuthenticatedCall) => Iterable<readonly [string, string, JsonObject]>) => {
    return (call: AuthenticatedCall) => ({ ...backups.put(call.device.userId, version(call), read(call)) });
  };
  const get = (show: (rooms: Rooms) => JsonObject) => (call: AuthenticatedCall) =>
    show(backups.get(call.device.userId, version(call), scope(call)));
  const remove = (call: AuthenticatedCall) => ({ ...backups.remove(call.device.userId, version(call), scope(call)) });
  return [
    authenticated("POST", `${ROOM_KEYS}/version`, ({ device, body }) => ({
      version: backups.create(device.userId, body),
    })),
    authenticated("GET", `${ROOM_KEYS}/version`, ({ device }) => backups.info(device.userId)),
    authenticated("GET", `${ROOM_KEYS}/version/{version}`, (call) =>
      backups.info(call.device.userId, parameter(call, "version")),
    ),
    authenticated("PUT", `${ROOM_KEYS}/version/{version}`, (call) => {
      backups.update(call.device.userId, parameter(call, "version"), call.body);
      return {};
    }),
    authenticated("DELETE", `${ROOM_KEYS}/version/{version}`, (call) => {
      backups.delete(call.device.userId, parameter(call, "version"));
      return {};
    }),
    authenticated("PUT", KEYS, put(inRooms)),
    authenticated(
      "PUT",
      ROOM,
      put((call) => inRoom(parameter(call, "roomId"), call.body)),
    ),
    authenticated(
      "PUT",
      SESSION,
      put((call) => [[parameter(call, "roomId"), parameter(call, "sessionId"), call.body]]),
    ),
    authenticated("GET", KEYS, get(allRooms)),
    authenticated("GET", ROOM, get(oneRoom)),
    authenticated("GET", SESSION, get(oneSession)),
    authenticated("DELETE", KEYS, remove),
    authenticated("DELETE", ROOM, remove),
    authenticated("DELETE", SESSION, remove),
  ];
}

function version({ query }: AuthenticatedCall): string {
  const named = query.get("version");
  if (named === null) throw new MatrixError(400, "M_MISSING_PARAM", "Missing required query parameter version");
  return named;
}

function scope({ parameters }: AuthenticatedCall): Scope {
  return { roomId: parameters.roomId, sessionId: parameters.sessionId };
}

function* inRooms({ body }: AuthenticatedCall): Iterable<readonly [string, string, JsonObject]> {
  const rooms = objectIn(body, "rooms");
  for (const roomId of Object.keys(rooms)) yield* inRoom(roomId, objectIn(rooms, roomId));
}

function* inRoom(roomId: string, body: JsonObject): Iterable<readonly [string, string, JsonObject]> {
  const sessions = objectIn(body, "sessions");
  for (const sessionId of Object.keys(sessions)) yield [roomId, sessionId, objectIn(sessions, sessionId)];
}

function allRooms(rooms: Rooms): JsonObject {
  return {
    rooms: Object.fromEntries([...rooms].map(([roomId, room]) => [roomId, { sessions: Object.fromEntries(room) }])),
  };
}

function oneRoom(rooms: Rooms): JsonObject {
  return { sessions: Object.fromEntries([...rooms.values()].flatMap((room) => [...room])) };
}

function oneSession(rooms: Rooms): JsonObject {
  const [session] = [...rooms.values()].flatMap((room) => [...room.values()]);
  if (session === undefined) throw new MatrixError(404, "M_NOT_FOUND", "No room_keys found");
  return { ...session };
}
