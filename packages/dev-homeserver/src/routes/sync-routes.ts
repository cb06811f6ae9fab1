import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { parseSyncToken } from "../state/sync-token.ts";
import { numberIn, parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";
const LONGEST_WAIT_MS = 60_000;

/** Sync, and the filters that it takes. */
export function syncRoutes({ filters, sync }: Services): Route[] {
  return [
    authenticated("GET", `${CLIENT}/sync`, ({ device, query, signal }) => {
      const since = query.get("since");
      return sync.next({
        device,
        since: since === null ? undefined : parseSyncToken(since),
        timelineLimit: filters.timelineLimit(device.userId, query.get("filter")),
        timeoutMs: Math.min(numberIn(query, "timeout", 0), LONGEST_WAIT_MS),
        signal,
      });
    }),
    authenticated("POST", `${CLIENT}/user/{userId}/filter`, (call) => {
      if (parameter(call, "userId") !== call.device.userId) {
        throw new MatrixError(403, "M_FORBIDDEN", "filters can only be left for oneself");
      }
      return { filter_id: filters.add(call.device.userId, call.body) };
    }),
    authenticated("GET", `${CLIENT}/user/{userId}/filter/{filterId}`, (call) =>
      filters.get(parameter(call, "userId"), parameter(call, "filterId")),
    ),
  ];
}
