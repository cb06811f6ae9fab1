import type { Kysely } from "kysely";
import { up as records } from "./0001-records.ts";
import { up as moves } from "./0002-moves.ts";

/** Brings a schema from the version before to this one, in the transaction that it is given. */
export type SchemaMigration = (db: Kysely<unknown>, schema: string) => Promise<void>;

/** Every migration by name; a name begins with its number, and the greatest is the version of the schema. */
export const MIGRATIONS: Readonly<Record<string, SchemaMigration>> = {
  "0001-records": records,
  "0002-moves": moves,
};

/** The version that this library writes and reads. */
export const SCHEMA_VERSION = Math.max(...Object.keys(MIGRATIONS).map(versionOf));

/** The number in front of a migration's name; 0 where there is none. */
export function versionOf(migration: string): number {
  return Number.parseInt(migration, 10) || 0;
}
