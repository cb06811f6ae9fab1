import { type JsonObject, objectIn } from "../http/json.ts";

/** A signed object with more signatures of one user. */
export function withSignatures(signed: JsonObject, more: JsonObject, signerId: string): JsonObject {
  const signatures = objectIn(signed, "signatures");
  return { ...signed, signatures: { ...signatures, [signerId]: { ...objectIn(signatures, signerId), ...more } } };
}
