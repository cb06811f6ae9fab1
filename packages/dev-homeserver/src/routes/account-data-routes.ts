import type { AuthenticatedCall } from "../http/call.ts";
import type { JsonObject } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { PUSH_RULES } from "../state/push-rules.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const USER = "/_matrix/client/v3/user/{userId}";
/** Kept by the server itself, each through endpoints of its own. */
const SERVERS_OWN = ["m.fully_read", "m.push_rules"];

/** What users keep for themselves, secret storage among it. */
export function accountDataRoutes({ accountData }: Services): Route[] {
  const put = (call: AuthenticatedCall): JsonObject => {
    const type = parameter(call, "type");
    if (SERVERS_OWN.includes(type)) throw new MatrixError(405, "M_BAD_JSON", `Cannot set ${type} through this API.`);
    accountData.set(ownId(call), parameter(call, "roomId"), type, call.body);
    return {};
  };
  const get = (call: AuthenticatedCall): JsonObject => {
    const [roomId, type] = [parameter(call, "roomId"), parameter(call, "type")];
    const own = roomId === "" && type === "m.push_rules" ? PUSH_RULES : accountData.get(ownId(call), roomId, type);
    if (own === undefined) throw new MatrixError(404, "M_NOT_FOUND", "Account data not found");
    return own;
  };
  return [
    authenticated("PUT", `${USER}/account_data/{type}`, put),
    authenticated("GET", `${USER}/account_data/{type}`, get),
    authenticated("PUT", `${USER}/rooms/{roomId}/account_data/{type}`, put),
    authenticated("GET", `${USER}/rooms/{roomId}/account_data/{type}`, get),
  ];
}

function ownId(call: AuthenticatedCall): string {
  if (parameter(call, "userId") === call.device.userId) return call.device.userId;
  throw new MatrixError(403, "M_FORBIDDEN", "account data is its owner's only");
}
