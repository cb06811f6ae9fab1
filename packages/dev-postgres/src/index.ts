export { type DevPgBouncer, startPgBouncer } from "./pgbouncer.ts";
export { createDatabase, type DevPostgres, type DevPostgresOptions, startPostgres } from "./postgres.ts";
export {
  type Damage,
  type Direction,
  type Fault,
  type ProxyMode,
  startTcpProxy,
  type TcpProxy,
  type TcpProxyOptions,
  type Traffic,
} from "./tcp-proxy.ts";
