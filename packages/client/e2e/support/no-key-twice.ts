import { expect } from "vitest";
import type { Stage } from "./stage.ts";

/** No one-time key of anybody's was handed out twice. */
export function expectNoKeyTwice({ homeserver }: Stage): void {
  const names = homeserver.journal.handedOutKeys().flatMap(({ userId, deviceId, keyId, key }) => {
    // A fallback key is for everybody who finds no other.
    const isFallback = (key as { readonly fallback?: boolean }).fallback === true;
    return isFallback ? [] : [`${userId} ${deviceId} ${keyId}`];
  });
  expect(names.length).toBeGreaterThan(0);
  expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
}

/** The names of the one-time keys in all uploads of a user that the homeserver has taken, once there are so many uploads. */
export async function uploadedKeys({ homeserver }: Stage, userId: string, uploads: number): Promise<string[]> {
  const taken = () =>
    homeserver.journal
      .entries({ path: "/keys/upload", userId })
      .filter(({ outcome }) => typeof outcome === "object" && outcome.status === 200);
  await expect.poll(() => taken().length).toBeGreaterThanOrEqual(uploads);
  return taken().flatMap(({ call }) => Object.keys((call.body.one_time_keys as object | undefined) ?? {}));
}
