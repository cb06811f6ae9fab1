import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, sharedDirectory, watchOver } from "./machine.ts";
import type { DevPostgres } from "./postgres.ts";

/** A PgBouncer in transaction mode in front of a server. */
export interface DevPgBouncer extends AsyncDisposable {
  readonly port: number;
  /** The address of a database of the server, through the pooler. */
  url(serverUrl: string): string;
}

const START_MS = 10_000;

/** Starts PgBouncer in front of a server; `undefined` where it is not installed. */
export async function startPgBouncer(
  server: Pick<DevPostgres, "host" | "port" | "user" | "password">,
): Promise<DevPgBouncer | undefined> {
  const binary = await findBinary();
  if (binary === undefined) return undefined;
  const directory = await sharedDirectory("holdfast-pgbouncer-");
  const port = await freePort();
  const pidFile = join(directory, "pgbouncer.pid");
  const users = join(directory, "users.txt");
  const configuration = join(directory, "pgbouncer.ini");
  await writeFile(users, `"${server.user}" "${server.password}"\n`);
  await writeFile(
    configuration,
    `[databases]
* = host=${server.host} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = 8
max_client_conn = 500
server_lifetime = 60
server_idle_timeout = 5
`,
  );
  // It refuses to be root, and then writes no pid file that root could not.
  await chmod(directory, 0o777);
  const asUser = process.getuid?.() === 0 ? ["-u", "postgres"] : [];
  const child = spawn(binary, [...asUser, "-q", configuration], { stdio: ["ignore", "pipe", "pipe"] });
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => log.push(String(chunk)));
  await writeFile(pidFile, `${child.pid}\n`);
  const guard = watchOver(pidFile, directory);
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    await rm(directory, { recursive: true, force: true });
    guard.done();
  };
  try {
    await listening(child, port);
  } catch (error) {
    await dispose();
    throw new Error(`PgBouncer did not start:\n${log.join("")}`, { cause: error });
  }
  return {
    port,
    url: (serverUrl) => Object.assign(new URL(serverUrl), { port: String(port) }).href,
    [Symbol.asyncDispose]: dispose,
  };
}

async function findBinary(): Promise<string | undefined> {
  for (const binary of ["pgbouncer", "/usr/sbin/pgbouncer"]) {
    const child = spawn(binary, ["--version"], { stdio: "ignore" });
    const found = await new Promise<boolean>((resolve) => {
      child.once("error", () => resolve(false)).once("exit", (code) => resolve(code === 0));
    });
    if (found) return binary;
  }
  return undefined;
}

/** Waits until somebody accepts connections; it says so nowhere. */
async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it exited with ${child.exitCode}`);
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    if (performance.now() > deadline) throw new Error("nothing listens");
    await delay(20);
  }
}
