import * as v from "valibot";
import { MatrixClientError } from "../../errors.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";

const SigningKey = v.object({ keys: v.record(v.string(), v.string()) });

/** What a homeserver shows of an account's cross-signing, and of one device's place in it. */
export interface PublishedIdentity {
  /** The public master key; `undefined` where the account has no cross-signing identity. */
  readonly masterKey: string | undefined;
  /** Whether the device's keys are shown at all. */
  readonly deviceShown: boolean;
}

/**
 * Reads the answer to `/keys/query` for a user's own keys.
 *
 * @throws `MatrixClientError` `HOMESERVER_UNREACHABLE` for an answer that is none, or says that it could
 * not look: what it does not show may then be there all the same
 */
export function publishedIdentity(answer: JsonObject, userId: string, deviceId: string): PublishedIdentity {
  const Answer = v.object({
    device_keys: v.optional(v.record(v.string(), v.record(v.string(), v.unknown())), {}),
    master_keys: v.optional(v.record(v.string(), v.unknown()), {}),
    failures: v.optional(v.record(v.string(), v.unknown()), {}),
  });
  const parsed = v.safeParse(Answer, answer);
  if (!parsed.success || Object.keys(parsed.output.failures).length > 0) {
    throw new MatrixClientError(
      "HOMESERVER_UNREACHABLE",
      "the homeserver did not say which keys it has of this account",
    );
  }
  const { device_keys: devices, master_keys: masterKeys } = parsed.output;
  const shown = masterKeys[userId];
  return {
    masterKey: shown === undefined ? undefined : publicKeyOf(shown),
    deviceShown: devices[userId]?.[deviceId] !== undefined,
  };
}

/** The public key of a cross-signing key; a malformed one is a key too, and equal to none. */
export function publicKeyOf(key: unknown): string {
  const parsed = v.safeParse(SigningKey, key);
  return (parsed.success ? Object.values(parsed.output.keys)[0] : undefined) ?? "malformed";
}
