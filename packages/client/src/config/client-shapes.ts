import { MatrixClientError } from "../errors.ts";
import { parseHomeserver } from "../http/discovery.ts";
import type { MatrixClientOptions } from "../matrix-client-options.ts";
import { checkNames } from "./option-names.ts";

/** What an option may be: as a test, and in words. */
interface Shape {
  readonly fits: (value: unknown) => boolean;
  readonly is: string;
  /** The only members that it may have, where that is said. */
  readonly members?: readonly string[];
}

/** The longest delay that a timer takes; one that is longer would be none. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const FLAG: Shape = { fits: (value) => typeof value === "boolean", is: "true or false" };
const TEXT: Shape = { fits: (value) => typeof value === "string" && value !== "", is: "a string that is not empty" };
const FUNCTION: Shape = { fits: (value) => typeof value === "function", is: "a function" };
const COUNT: Shape = { fits: (value) => isWhole(value, 1, Number.MAX_SAFE_INTEGER), is: "a positive integer" };
const PAUSE_MS: Shape = {
  fits: (value) => isWhole(value, 1, MAX_TIMER_MS),
  is: `a whole number of milliseconds from 1 to ${MAX_TIMER_MS}`,
};
const WAIT_MS: Shape = {
  fits: (value) => typeof value === "number" && value >= 0,
  is: "a number of milliseconds, 0 or more",
};

/** Checked where they mean something together: how to log in, and how the state is encrypted. */
const ELSEWHERE = ["accessToken", "password", "loginToken", "key", "passphrase", "plaintext"] as const;

/** Every other option, so that the compiler misses one that is new. */
const SHAPES: { readonly [Name in Exclude<keyof MatrixClientOptions, (typeof ELSEWHERE)[number]>]-?: Shape } = {
  userId: {
    fits: (value) => typeof value === "string" && /^@[^:\s]*:[^\s]+$/.test(value),
    is: "a full user id, such as @bot:example.org",
  },
  homeserver: { fits: isHomeserver, is: "a base URL, such as https://matrix.example.org, or a server name" },
  deviceId: TEXT,
  deviceDisplayName: TEXT,
  keyStores: { fits: isListOfStores, is: "a list of key stores, or of { name, create }, that is not empty" },
  onUnavailable: words<NonNullable<MatrixClientOptions["onUnavailable"]>>({ fallback: true, wait: true, fail: true }),
  lease: words<NonNullable<MatrixClientOptions["lease"]>>({ wait: true, fail: true, "take-over": true }),
  waitMs: WAIT_MS,
  acceptRollback: FLAG,
  logger: withMembers({ debug: FUNCTION, info: FUNCTION, warn: FUNCTION, error: FUNCTION }, "all"),
  decryptionTrust: words<NonNullable<MatrixClientOptions["decryptionTrust"]>>({
    untrusted: true,
    "cross-signed-or-legacy": true,
    "cross-signed": true,
  }),
  onVerificationRequest: FUNCTION,
  shareKeysWith: words<NonNullable<MatrixClientOptions["shareKeysWith"]>>({
    "all-devices": true,
    "signed-devices": true,
    "verified-devices": true,
  }),
  setUpTrust: withMembers(
    {
      password: TEXT,
      auth: FUNCTION,
      recoveryKey: TEXT,
      passphrase: TEXT,
      onRecoveryKey: FUNCTION,
      onProgress: FUNCTION,
      signal: { fits: (value) => value instanceof AbortSignal, is: "an AbortSignal" },
    },
    "any",
  ),
  deliverHistory: FLAG,
  handlerConcurrency: COUNT,
  handlerAttempts: COUNT,
  maxHeldEvents: COUNT,
  maxSetAside: COUNT,
  timelineLimit: COUNT,
  gapLimit: COUNT,
  longPollMs: PAUSE_MS,
  awayPauseMs: PAUSE_MS,
  probe: withMembers({ firstMs: PAUSE_MS, longestMs: PAUSE_MS }, "any"),
};

/** The names of all options. */
export const OPTION_NAMES: readonly string[] = [...Object.keys(SHAPES), ...ELSEWHERE];

/**
 * Checks what each option is by itself. Messages name the option and what it may
 * be, never what it was: that may be a secret in the wrong place. What is no option is refused.
 *
 * @throws `CONFIG`
 */
export function checkShapes(options: MatrixClientOptions): void {
  if (typeof options !== "object" || options === null) config("a client takes an object of options");
  if (options.homeserver === undefined) config("homeserver is missing: a base URL or a server name");
  checkNames(options, OPTION_NAMES);
  for (const [name, shape] of Object.entries(SHAPES)) {
    const value: unknown = options[name as keyof typeof SHAPES];
    if (value === undefined) continue;
    if (!shape.fits(value)) config(`${name} must be ${shape.is}`);
    if (shape.members !== undefined) checkNames(value as object, shape.members, `${name}.`);
  }
}

/** Throws the error for options that are malformed. */
export function config(message: string): never {
  throw new MatrixClientError("CONFIG", message);
}

/** One of several words: a key for each, so that the compiler misses one that is new. */
function words<T extends string>(each: Readonly<Record<T, true>>): Shape {
  const all = Object.keys(each);
  const quoted = all.map((word) => `"${word}"`);
  return {
    fits: (value) => typeof value === "string" && all.includes(value),
    is: `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`,
  };
}

/** An object with these members: all of them, and others; or any of them, and no others. */
function withMembers(members: Readonly<Record<string, Shape>>, which: "all" | "any"): Shape {
  const entries = Object.entries(members);
  const said = entries.map(([name, { is }]) => `${name}: ${is}`).join("; ");
  return {
    fits: (value) =>
      typeof value === "object" &&
      value !== null &&
      entries.every(([name, shape]) => {
        const member: unknown = Reflect.get(value, name);
        return member === undefined ? which === "any" : shape.fits(member);
      }),
    is: `an object (${said})`,
    ...(which === "any" && { members: Object.keys(members) }),
  };
}

function isWhole(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most;
}

function isHomeserver(value: unknown): boolean {
  if (typeof value !== "string") return false;
  try {
    parseHomeserver(value);
    return true;
  } catch {
    return false;
  }
}

function isListOfStores(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (store: unknown) =>
        typeof store === "object" && store !== null && ["create", "init"].some((name) => name in store),
    )
  );
}
