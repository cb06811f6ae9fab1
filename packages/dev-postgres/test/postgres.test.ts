import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { expect, it } from "vitest";
import { startPgBouncer, startPostgres } from "../src/index.ts";

async function ask(url: string, query: string) {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return [...(await sql.unsafe(query))];
  } finally {
    await sql.end();
  }
}

it("a server is durable, and keeps its data through every kind of stop", async () => {
  await using server = await startPostgres();
  const settings = ["fsync", "synchronous_commit", "full_page_writes"].map(
    (name) => `current_setting('${name}') as ${name}`,
  );
  const url = await server.createDatabase();
  expect(await ask(url, `select ${settings.join()}`)).toEqual([
    { fsync: "on", synchronous_commit: "on", full_page_writes: "on" },
  ]);
  await ask(url, "create table kept as select 1 as n");
  for (const mode of ["fast", "immediate"] as const) {
    await server.stop(mode);
    await expect(ask(url, "select 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await server.start();
    await ask(url, "insert into kept select max(n) + 1 from kept");
  }
  expect(await ask(url, "select n from kept order by n")).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
});

it("a server ends the sessions of its clients, by name or all of them, and is restarted", async () => {
  await using server = await startPostgres();
  const victims = ["one", "two"].map((name) => {
    const connection = { application_name: name };
    return postgres(server.url(), { max: 1, onnotice: () => {}, connection });
  });
  try {
    for (const sql of victims) await sql`select`;
    expect(await server.terminateBackends("one")).toBe(1);
    expect(await server.terminateBackends()).toBe(1);
    await server.restart("immediate");
    expect(await ask(server.url(), "select 1 as one")).toEqual([{ one: 1 }]);
    await server.stopImmediate();
    await expect(ask(server.url(), "select 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  } finally {
    for (const sql of victims) await sql.end({ timeout: 1 });
  }
});

it("a server leaves nothing behind once it is disposed of", async () => {
  const server = await startPostgres();
  const { dataDirectory } = server;
  await server[Symbol.asyncDispose]();
  expect(existsSync(dataDirectory)).toBe(false);
});

it("a standby of a server reads what that had, and writes nothing", async () => {
  await using server = await startPostgres();
  await ask(server.url(), "create table kept as select 1 as n");
  await server.stop();
  await using standby = await startPostgres({ standbyOf: server });
  expect(await ask(standby.url(), "select n, pg_is_in_recovery() from kept")).toEqual([
    { n: 1, pg_is_in_recovery: true },
  ]);
  await expect(ask(standby.url(), "delete from kept")).rejects.toMatchObject({ code: "25006" });
});

it.skipIf(process.platform === "win32")("a program that is killed leaves no server and no files", async () => {
  const program = fileURLToPath(new URL("programs/start-and-wait.ts", import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk] = await once(child.stdout, "data");
  const dataDirectory = String(chunk).trim();
  const pid = Number((await readFile(join(dataDirectory, "postmaster.pid"), "utf8")).split("\n")[0]);
  expect(isRunning(pid)).toBe(true);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  await expect.poll(() => existsSync(dataDirectory)).toBe(false);
  // It is there until whoever adopted it has taken note of its end.
  await expect.poll(() => isRunning(pid)).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

it("a pooler leads to the server, by sessions that it chooses, where it is installed", async (test) => {
  await using server = await startPostgres();
  const pooler = await startPgBouncer(server);
  if (pooler === undefined) return test.skip("PgBouncer is not installed");
  await using _ = pooler;
  const url = pooler.url(await server.createDatabase());
  expect(await ask(url, "select 1 as one")).toEqual([{ one: 1 }]);
  return undefined;
});
