import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";

const CLIENT = "/_matrix/client/v3";

/**
 * What clients ask every server for and this one never has anything of: it
 * says so as a server does that knows of the matter. Told that there is no
 * such endpoint, some clients do not begin at all.
 */
export function emptyRoutes(): Route[] {
  const none = (message: string) => (): never => {
    throw new MatrixError(404, "M_NOT_FOUND", message);
  };
  return [
    authenticated("GET", `${CLIENT}/capabilities`, () => ({ capabilities: {} })),
    authenticated("GET", `${CLIENT}/pushrules/`, () => ({
      global: { override: [], content: [], room: [], sender: [], underride: [] },
    })),
    authenticated("GET", `${CLIENT}/room_keys/version`, none("there is no backup of room keys")),
    authenticated("GET", `${CLIENT}/user/{userId}/account_data/{type}`, none("there is no such account data")),
  ];
}
