import type { OpenSecretStorage } from "../secrets/open-secret-storage.ts";
import type { PrivateKeys } from "./cross-signing-intent.ts";

const NAMES = {
  master: "m.cross_signing.master",
  selfSigning: "m.cross_signing.self_signing",
  userSigning: "m.cross_signing.user_signing",
} as const;

/** The private cross-signing keys in secret storage; `undefined` where one is missing. */
export async function readStoredKeys(
  storage: OpenSecretStorage,
  signal: AbortSignal | undefined,
): Promise<PrivateKeys | undefined> {
  const master = await storage.get(NAMES.master, signal);
  const selfSigning = await storage.get(NAMES.selfSigning, signal);
  const userSigning = await storage.get(NAMES.userSigning, signal);
  if (master === undefined || selfSigning === undefined || userSigning === undefined) return undefined;
  return { master, selfSigning, userSigning };
}

/** Puts into secret storage what is not there yet. */
export async function storeKeys(
  storage: OpenSecretStorage,
  keys: PrivateKeys,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const kind of ["master", "selfSigning", "userSigning"] as const) {
    if ((await storage.get(NAMES[kind], signal)) !== keys[kind]) await storage.set(NAMES[kind], keys[kind], signal);
  }
}
