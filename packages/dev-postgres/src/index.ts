export { type DevPgBouncer, startPgBouncer } from "./pgbouncer.ts";
export { type DevPostgres, type DevPostgresOptions, startPostgres } from "./postgres.ts";
