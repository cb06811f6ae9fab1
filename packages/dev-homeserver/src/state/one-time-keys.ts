import { isDeepStrictEqual } from "node:util";
import { isObject, type JsonObject } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";

/** A key id with its algorithm, `signed_curve25519:AAAAHQ`, and the key. */
export interface NamedKey {
  readonly id: string;
  readonly key: unknown;
}

interface FallbackKey extends NamedKey {
  used: boolean;
}

/** The one-time and fallback keys of one device. */
export class OneTimeKeys {
  readonly #keys = new Map<string, unknown>();
  readonly #fallback = new Map<string, FallbackKey>();

  /**
   * Takes one-time keys in. Identical ones are accepted again, also when they
   * were handed out meanwhile: as on a real server, they are then handed out
   * a second time.
   *
   * @throws MatrixError `M_UNKNOWN` where another key has one of these ids; none of them is taken then
   */
  add(keys: JsonObject): void {
    for (const [id, key] of Object.entries(keys)) {
      const known = this.#keys.get(id);
      if (known !== undefined && !isDeepStrictEqual(unsigned(known), unsigned(key))) {
        const told = `Old key: ${JSON.stringify(known)}; new key: ${JSON.stringify(key)}`;
        throw new MatrixError(400, "M_UNKNOWN", `One time key ${id} already exists. ${told}`);
      }
    }
    for (const [id, key] of Object.entries(keys)) if (!this.#keys.has(id)) this.#keys.set(id, key);
  }

  /** Takes a fallback key for each algorithm, in the place of the former one. */
  setFallback(keys: JsonObject): void {
    for (const [id, key] of Object.entries(keys)) {
      const algorithm = algorithmOf(id);
      const known = this.#fallback.get(algorithm);
      if (known !== undefined && known.id === id && isDeepStrictEqual(known.key, key)) continue;
      this.#fallback.set(algorithm, { id, key, used: false });
    }
  }

  /** Hands out a key: the oldest one-time key, which is then gone; else the fallback key, which is then used. */
  claim(algorithm: string): NamedKey | undefined {
    for (const [id, key] of this.#keys) {
      if (algorithmOf(id) !== algorithm) continue;
      this.#keys.delete(id);
      return { id, key };
    }
    const fallback = this.#fallback.get(algorithm);
    if (fallback === undefined) return undefined;
    fallback.used = true;
    return { id: fallback.id, key: fallback.key };
  }

  /** How many one-time keys are left, by algorithm; `signed_curve25519` is always there. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = { signed_curve25519: 0 };
    for (const id of this.#keys.keys()) {
      const algorithm = algorithmOf(id);
      counts[algorithm] = (counts[algorithm] ?? 0) + 1;
    }
    return counts;
  }

  /** The algorithms whose fallback key nobody has claimed yet. */
  unusedFallbackTypes(): string[] {
    return [...this.#fallback].filter(([, key]) => !key.used).map(([algorithm]) => algorithm);
  }
}

function algorithmOf(id: string): string {
  return id.split(":", 1)[0] ?? id;
}

// Two uploads of one key may be signed differently, and are the same key.
function unsigned(key: unknown): unknown {
  if (!isObject(key)) return key;
  const { signatures: _, ...rest } = key;
  return rest;
}
