import type { AuthenticatedCall } from "../http/call.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { parseSyncToken } from "../state/sync-token.ts";
import { numberIn, parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";
const LONGEST_WAIT_MS = 60_000;

/** Sync, and the filters that it takes. */
export function syncRoutes({ filters, sync }: Services): Route[] {
  const ownId = (call: AuthenticatedCall): string => {
    if (parameter(call, "userId") === call.device.userId) return call.device.userId;
    throw new MatrixError(403, "M_FORBIDDEN", "filters can only be left and read for oneself");
  };
  return [
    authenticated("GET", `${CLIENT}/sync`, ({ device, query, signal }) => {
      const since = query.get("since");
      return sync.next({
        device,
        since: since === null ? undefined : parseSyncToken(since),
        filter: filters.forSync(device.userId, query.get("filter")),
        fullState: query.get("full_state") === "true",
        timeoutMs: Math.min(numberIn(query, "timeout", 0), LONGEST_WAIT_MS),
        signal,
      });
    }),
    authenticated("POST", `${CLIENT}/user/{userId}/filter`, (call) => ({
      filter_id: filters.add(ownId(call), call.body),
    })),
    authenticated("GET", `${CLIENT}/user/{userId}/filter/{filterId}`, (call) =>
      filters.get(ownId(call), parameter(call, "filterId")),
    ),
  ];
}
