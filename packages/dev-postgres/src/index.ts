export { type DevPgBouncer, startPgBouncer } from "./pgbouncer.ts";
export { createDatabase, type DevPostgres, type DevPostgresOptions, startPostgres } from "./postgres.ts";
