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
