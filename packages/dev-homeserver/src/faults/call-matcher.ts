import type { Call } from "../http/call.ts";

/** Which calls are meant: those that fit every field that is given. */
export interface CallMatcher {
  /** Such as `"PUT"`. */
  readonly method?: string | undefined;
  /**
   * The end of the path, as it was asked for or as the route's pattern writes it: `"/keys/upload"`,
   * `"/send/{eventType}/{txnId}"`; or an expression that the path as it was asked for must fit.
   */
  readonly path?: string | RegExp | undefined;
  /** Whose access token it came with. */
  readonly userId?: string | undefined;
  readonly deviceId?: string | undefined;
  /** What else must hold of the call. */
  readonly where?: ((call: Call) => boolean) | undefined;
}

/** Whether a call is one of those that a matcher means. */
export function matches(matcher: CallMatcher, call: Call): boolean {
  const { method, path, userId, deviceId, where } = matcher;
  if (method !== undefined && method !== call.method) return false;
  if (typeof path === "string" && !call.path.endsWith(path) && !call.route.endsWith(path)) return false;
  if (path instanceof RegExp && !new RegExp(path.source, path.flags.replace(/[gy]/g, "")).test(call.path)) return false;
  if (userId !== undefined && userId !== call.device?.userId) return false;
  if (deviceId !== undefined && deviceId !== call.device?.deviceId) return false;
  return where?.(call) ?? true;
}
