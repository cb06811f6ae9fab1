import { existsSync } from "node:fs";
import { inspect } from "node:util";
import {
  type DeviceRef,
  fileWitness,
  type KeyStoreOptions,
  type LazyKeyStore,
  type OnUnavailable,
  type ResolvedKeyStore,
  type RollbackWitness,
  resolveKeyStore,
} from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { adapterCandidate } from "./adapters.ts";
import { type AtRest, atRestFromEnv, misconfiguredPlaintext } from "./config/at-rest.ts";
import { type PostgresAddress, postgresAddress } from "./config/postgres-address.ts";
import { type Environment, onUnavailableFromEnv, text } from "./config/variables.ts";

/** Where the SQLite file is when nobody says: in the working directory. */
const DEFAULT_SQLITE_PATH = "holdfast.sqlite";

/** What `keyStoreFromEnv` takes beside the environment; each option comes before the variable that says the same. */
export interface KeyStoreFromEnvOptions extends KeyStoreOptions {
  /** What it means that the store asked for is not there. Default: what `KEY_STORE_ON_UNAVAILABLE` says, or `"fallback"`. */
  readonly onUnavailable?: OnUnavailable | undefined;
}

/**
 * A key store, how its content is encrypted, and whose device it is for where
 * the environment says. Logged or serialised, it does not show key or passphrase.
 */
export interface KeyStoreFromEnv extends ResolvedKeyStore, AtRest {
  /** From `MATRIX_USER_ID` and `MATRIX_DEVICE_ID`; `undefined` unless both are set. */
  readonly device: DeviceRef | undefined;
}

/**
 * The key store that environment variables ask for, ready to use: PostgreSQL
 * where an address is configured, else SQLite, else memory. What is spread into
 * `openOlmMachine` opens the device on it.
 *
 * | variable | meaning |
 * |---|---|
 * | `USE_POSTGRES_STORE` | `true`: PostgreSQL first; `false`: SQLite; unset: PostgreSQL if an address is configured |
 * | `POSTGRESQL_ADDON_URI`, or `_HOST` `_PORT` `_DB` `_USER` `_PASSWORD` | the address; then `DATABASE_URL`; then `PGHOST` `PGPORT` `PGDATABASE` `PGUSER` `PGPASSWORD` `PGSSLMODE` |
 * | `KEY_STORE_SQLITE_PATH` | the SQLite file; default `holdfast.sqlite` |
 * | `KEY_STORE_WITNESS_PATH` | a directory, for {@link fileWitness}: what is acknowledged is remembered there |
 * | `KEY_STORE_LABEL` | what this program is called where leases are shown |
 * | `KEY_STORE_ON_UNAVAILABLE` | `fallback` (default), `wait`, `fail` |
 * | `KEY_STORE_KEY`, `KEY_STORE_PASSPHRASE`, each also as `…_FILE` | encrypts the state at rest |
 * | `KEY_STORE_PLAINTEXT` | `allow`: PostgreSQL without either |
 * | `MATRIX_USER_ID`, `MATRIX_DEVICE_ID` | the device |
 *
 * An option that the program gives comes before the variable that says the same.
 *
 * @throws `ERR_KEY_STORE_CONFIG` for a malformed or missing value, before anything is tried;
 * `ERR_KEY_STORE_UNAVAILABLE` with `fail`, where the store asked for is not there, and with
 * `wait`, where its adapter is not installed; `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_ROLLBACK`
 * or `ERR_KEY_STORE_SCHEMA_TOO_NEW` for a store that is there and cannot be used
 */
export async function keyStoreFromEnv(
  env: Environment = process.env,
  options: KeyStoreFromEnvOptions = {},
): Promise<KeyStoreFromEnv> {
  const { onUnavailable = onUnavailableFromEnv(env), ...storeOptions } = options;
  const atRest = atRestFromEnv(env);
  const candidates = keyStoreCandidates(env, storeOptions, atRest);
  const userId = text(env, "MATRIX_USER_ID");
  const deviceId = text(env, "MATRIX_DEVICE_ID");
  const resolved = await resolveKeyStore(candidates, { onUnavailable, logger: options.logger });
  const device = userId === undefined || deviceId === undefined ? undefined : { userId, deviceId };
  return withoutSecretsInLogs(Object.defineProperties({ ...atRest, device } as KeyStoreFromEnv, getters(resolved)));
}

/** Whether a store that is not in use may hold something: one that would only be made by looking into it does not. */
export interface MayHold {
  readonly mayHold?: () => boolean;
}

/**
 * The key stores that the environment names, in the order in which they are
 * tried. Each candidate makes a new store whenever it is asked to.
 *
 * @param options those that are `undefined` are not given; `onUnavailable` says nothing here
 * @throws `ERR_KEY_STORE_CONFIG`
 */
export function keyStoreCandidates(
  env: Environment,
  options: Omit<KeyStoreFromEnvOptions, "onUnavailable">,
  atRest: AtRest,
): readonly (LazyKeyStore & MayHold)[] {
  const { witness = witnessFromEnv(env), label = text(env, "KEY_STORE_LABEL"), ...others } = options;
  const shared = withoutUndefined({ ...others, label });
  const durable = withoutUndefined({ ...shared, witness });
  const address = postgresAddress(env, options.logger);
  const path = text(env, "KEY_STORE_SQLITE_PATH") ?? DEFAULT_SQLITE_PATH;
  if (address !== undefined && atRest.key === undefined && atRest.passphrase === undefined && !atRest.plaintext) {
    misconfiguredPlaintext("PostgreSQL");
  }
  // Every store refuses the same options: a malformed one is loud now, and not when a store is tried.
  void new MemoryKeyStore(durable);
  return [
    ...(address === undefined ? [] : [postgresCandidate(address, durable)]),
    {
      ...adapterCandidate<typeof import("@holdfast/key-store-sqlite")>(
        "SQLite",
        "@holdfast/key-store-sqlite",
        ({ SqliteKeyStore }) => new SqliteKeyStore({ ...durable, path }),
      ),
      mayHold: () => existsSync(path),
    },
    { name: "memory", create: async () => new MemoryKeyStore(shared) },
  ];
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Memory needs none: nobody puts an older copy of it back. */
function witnessFromEnv(env: Environment): RollbackWitness | undefined {
  const directory = text(env, "KEY_STORE_WITNESS_PATH");
  return directory === undefined ? undefined : fileWitness(directory);
}

/** The properties of a resolved store as they are, those that are answered anew each time included. */
function getters(resolved: ResolvedKeyStore): PropertyDescriptorMap {
  return Object.getOwnPropertyDescriptors(resolved);
}

/** The object is likely to be logged: the key or passphrase in it must not be. */
function withoutSecretsInLogs(found: KeyStoreFromEnv): KeyStoreFromEnv {
  const shown = () => {
    const { mode, keyStoreAvailable, degraded, attempts, device } = found;
    const encrypted = found.key !== undefined || found.passphrase !== undefined;
    return { kind: found.keyStore.kind, mode, keyStoreAvailable, degraded, attempts, device, encrypted };
  };
  return Object.defineProperties(found, { toJSON: { value: shown }, [inspect.custom]: { value: shown } });
}

function postgresCandidate(address: PostgresAddress, options: KeyStoreOptions): LazyKeyStore {
  return adapterCandidate<typeof import("@holdfast/key-store-postgres")>(
    "PostgreSQL",
    "@holdfast/key-store-postgres",
    ({ PostgresKeyStore }) => new PostgresKeyStore({ ...options, ...address }),
  );
}
