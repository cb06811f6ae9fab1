import { drop, error, type Fault, loseResponse } from "@holdfast/dev-homeserver/faults";
import type { Member } from "../member.ts";
import type { Random } from "../random.ts";
import type { World } from "../world.ts";

const PATHS = [
  "/send/{eventType}/{txnId}",
  "/sendToDevice/{eventType}/{txnId}",
  "/keys/upload",
  "/keys/query",
  "/sync",
] as const;

/** Lets one of the next requests of a member to the homeserver go wrong. */
export function loseRequest({ homeserver }: World, { userId }: Member, random: Random): void {
  const faults: readonly Fault[] = [drop(), loseResponse(), error(502, "M_UNKNOWN")];
  homeserver.faults.next({ path: random.pick(PATHS), userId }, random.pick(faults), random.whole(1, 3));
}
