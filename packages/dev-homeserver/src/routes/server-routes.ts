import { authenticated, open, type Route } from "../http/router.ts";
import { PUSH_RULES } from "../state/push-rules.ts";
import { DEFAULT_ROOM_VERSION, ROOM_VERSIONS } from "../state/room-creation.ts";

const CLIENT = "/_matrix/client/v3";

/** What the server is and can do, and what it takes and does nothing about. */
export function serverRoutes(url: () => string): Route[] {
  const accepted = () => ({});
  return [
    open("GET", "/_matrix/client/versions", () => ({
      versions: Array.from({ length: 12 }, (_, index) => `v1.${index + 1}`),
      unstable_features: {},
    })),
    open("GET", "/.well-known/matrix/client", () => ({ "m.homeserver": { base_url: url() } })),
    authenticated("GET", `${CLIENT}/capabilities`, () => ({
      capabilities: {
        "m.room_versions": {
          default: DEFAULT_ROOM_VERSION,
          available: Object.fromEntries(ROOM_VERSIONS.map((version) => [version, "stable"])),
        },
        "m.change_password": { enabled: true },
        "m.set_displayname": { enabled: true },
        "m.set_avatar_url": { enabled: true },
        "m.3pid_changes": { enabled: false },
        "m.get_login_token": { enabled: true },
      },
    })),
    authenticated("GET", `${CLIENT}/pushrules/`, () => PUSH_RULES),
    authenticated("GET", `${CLIENT}/voip/turnServer`, () => ({})),
    authenticated("PUT", `${CLIENT}/presence/{userId}/status`, accepted),
    authenticated("PUT", `${CLIENT}/rooms/{roomId}/typing/{userId}`, accepted),
    authenticated("POST", `${CLIENT}/rooms/{roomId}/receipt/{type}/{eventId}`, accepted),
    authenticated("POST", `${CLIENT}/rooms/{roomId}/read_markers`, accepted),
  ];
}
