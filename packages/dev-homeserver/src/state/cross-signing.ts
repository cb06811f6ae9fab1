import { isDeepStrictEqual } from "node:util";
import { isObject, type JsonObject, objectIn } from "../http/json.ts";
import { withSignatures } from "./signatures.ts";

const KINDS = ["master_key", "self_signing_key", "user_signing_key"] as const;
type Kind = (typeof KINDS)[number];

/** The cross-signing keys of all users, with the signatures on them. */
export class CrossSigningKeys {
  readonly #keys = new Map<string, Partial<Record<Kind, JsonObject>>>();
  /** What users say of each other's master keys, by signer and owner: shown to the signer only. */
  readonly #opinions = new Map<string, Map<string, JsonObject>>();

  /** Whether the user has a master key: from then on, changes need the user's password. */
  isSetUp(userId: string): boolean {
    return this.#keys.get(userId)?.master_key !== undefined;
  }

  /** Whether the body holds keys that are others than those that are there. */
  changes(userId: string, body: JsonObject): boolean {
    const known = this.#keys.get(userId);
    return KINDS.some((kind) => {
      const key = body[kind];
      return isObject(key) && !isDeepStrictEqual(known?.[kind]?.keys, key.keys);
    });
  }

  /** Publishes those of the three keys that the body holds. */
  upload(userId: string, body: JsonObject): void {
    const keys = { ...this.#keys.get(userId) };
    for (const kind of KINDS) {
      const key = body[kind];
      if (isObject(key)) keys[kind] = key;
    }
    this.#keys.set(userId, keys);
  }

  /** The keys of some users as one user may see them: user-signing keys are seen by their owner only. */
  query(requesterId: string, userIds: readonly string[]): JsonObject {
    const answer: Record<`${Kind}s`, JsonObject> = { master_keys: {}, self_signing_keys: {}, user_signing_keys: {} };
    for (const userId of userIds) {
      const keys = this.#keys.get(userId);
      for (const kind of KINDS) {
        const key = keys?.[kind];
        if (key === undefined || (kind === "user_signing_key" && userId !== requesterId)) continue;
        const opinion = kind === "master_key" ? this.#opinions.get(requesterId)?.get(userId) : undefined;
        answer[`${kind}s`][userId] = opinion === undefined ? key : withSignatures(key, opinion, requesterId);
      }
    }
    return answer;
  }

  /** Adds a signature to the cross-signing key with this public key; false where there is none. */
  addSignature(signerId: string, ownerId: string, publicKey: string, signed: JsonObject): boolean {
    const keys = this.#keys.get(ownerId);
    const kind = KINDS.find((candidate) => {
      const key = keys?.[candidate];
      return key !== undefined && Object.values(objectIn(key, "keys")).includes(publicKey);
    });
    const key = kind && keys?.[kind];
    if (keys === undefined || kind === undefined || key === undefined) return false;
    const signatures = objectIn(objectIn(signed, "signatures"), signerId);
    if (signerId === ownerId) {
      keys[kind] = withSignatures(key, signatures, signerId);
    } else {
      const opinions = this.#opinions.get(signerId) ?? new Map<string, JsonObject>();
      this.#opinions.set(signerId, opinions);
      opinions.set(ownerId, { ...opinions.get(ownerId), ...signatures });
    }
    return true;
  }
}
