import { DecryptionSettings, TrustRequirement } from "@matrix-org/matrix-sdk-crypto-wasm";
import { MatrixClientError } from "../errors.ts";

const REQUIREMENTS = {
  untrusted: TrustRequirement.Untrusted,
  "cross-signed-or-legacy": TrustRequirement.CrossSignedOrLegacy,
  "cross-signed": TrustRequirement.CrossSigned,
} as const;

/**
 * Whose messages are decrypted: everybody's (`"untrusted"`, the default); those
 * of devices that their owner has cross-signed, and of those from before that
 * could be told (`"cross-signed-or-legacy"`); of cross-signed devices only
 * (`"cross-signed"`). What is refused counts as undecryptable.
 */
export type DecryptionTrust = keyof typeof REQUIREMENTS;

/**
 * The engine's settings for a trust requirement.
 *
 * @throws `MatrixClientError` `CONFIG` for a word that is none of them
 */
export function decryptionSettings(trust: DecryptionTrust = "untrusted"): DecryptionSettings {
  if (!Object.hasOwn(REQUIREMENTS, trust)) {
    const words = Object.keys(REQUIREMENTS).join(", ");
    throw new MatrixClientError("CONFIG", `the trust requirement for decryption is one of ${words}`);
  }
  return new DecryptionSettings(REQUIREMENTS[trust]);
}
