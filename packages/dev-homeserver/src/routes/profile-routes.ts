import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, optionalStringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, open, type Route } from "../http/router.ts";
import type { Profile } from "../state/profiles.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const PROFILE = "/_matrix/client/v3/profile/{userId}";
const FIELDS = ["displayname", "avatar_url"] as const;

/** What users show of themselves; a change is told in every room that they are in. */
export function profileRoutes({ profiles, rooms }: Services): Route[] {
  const set = (call: AuthenticatedCall, changed: Profile): JsonObject => {
    const { userId } = call.device;
    if (parameter(call, "userId") !== userId)
      throw new MatrixError(400, "M_FORBIDDEN", "Cannot set another user's profile");
    profiles.set(userId, { ...profiles.get(userId), ...changed });
    for (const room of rooms.of(userId)) {
      if (room.isJoined(userId)) rooms.memberships.set(room, userId, userId, "join");
    }
    return {};
  };
  return [
    open("GET", PROFILE, (call) => ({ ...profiles.get(parameter(call, "userId")) })),
    ...FIELDS.flatMap((field) => [
      open("GET", `${PROFILE}/${field}`, (call) => {
        const value = profiles.get(parameter(call, "userId"))[field];
        return value === undefined ? {} : { [field]: value };
      }),
      authenticated("PUT", `${PROFILE}/${field}`, (call) => set(call, { [field]: optionalStringIn(call.body, field) })),
    ]),
  ];
}
