import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type DevPostgres, startPostgres } from "../packages/dev-postgres/src/index.ts";
import type { KeyStore } from "../packages/key-store-core/src/index.ts";
import type { Watch } from "./support/mortal.ts";
import { storeAt } from "./support/stores.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "D" };
const PROGRAM = join(import.meta.dirname, "programs/hold-device.ts");

let server: DevPostgres;
let directory: string;

beforeAll(async () => {
  server = await startPostgres();
  directory = mkdtempSync(join(tmpdir(), "holdfast-handover-"));
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** A process that has the device open. */
async function holder(place: string): Promise<{ child: ChildProcess; ask(line: string): Promise<unknown> }> {
  const child = spawn(process.execPath, [PROGRAM, place], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the child has no pipes");
  const lines = createInterface(stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the child has ended");
    return JSON.parse(value);
  };
  expect(await next()).toBe("open");
  return {
    child,
    ask(line) {
      stdin.write(`${line}\n`);
      return next();
    },
  };
}

/** A store that counts how often it looked at the lease, and tells of its first look. */
async function newcomer(place: string): Promise<{ store: KeyStore; looked: Promise<void>; looks(): number }> {
  const looked = Promise.withResolvers<void>();
  let looks = 0;
  const watch: Watch = async (attempt) => {
    looks += 1;
    const answer = await attempt();
    looked.resolve();
    return answer;
  };
  const store = await storeAt(place, watch, { label: "the new one" });
  onTestFinished(() => store.close());
  return { store, looked: looked.promise, looks: () => looks };
}

const PLACES: readonly (readonly [string, () => Promise<string>])[] = [
  ["SQLite", async () => join(directory, `${Math.random()}.db`)],
  ["PostgreSQL", () => server.createDatabase()],
];

for (const [kind, newPlace] of PLACES) {
  describe(`on ${kind} a process that waits for a device`, () => {
    it("has it with its next look after the holder closed it", async () => {
      const place = await newPlace();
      const old = await holder(place);
      const { store, looked, looks } = await newcomer(place);
      const opening = store.openDevice(DEVICE, { waitMs: 60_000 });
      await looked;
      expect(await old.ask("close")).toBe("closed");
      const before = looks();
      const device = await opening;
      expect(device?.epoch).toBe(2n);
      // One look may have been on its way. Looks are 250 ms apart at the most.
      expect(looks() - before).toBeLessThanOrEqual(2);
    });

    it("has it after the holder was killed, once its lease has run out, or at once where that can be known", async () => {
      const place = await newPlace();
      const old = await holder(place);
      const { store, looked } = await newcomer(place);
      const opening = store.openDevice(DEVICE, { waitMs: 60_000 });
      await looked;
      const exited = once(old.child, "exit");
      old.child.kill("SIGKILL");
      await exited;
      expect((await opening)?.epoch).toBe(2n);
    });

    it("and takes it by force fences the holder, whose error says who it was", async () => {
      const place = await newPlace();
      const old = await holder(place);
      const { store } = await newcomer(place);
      const device = await store.openDevice(DEVICE, { lease: "take-over" });
      const failure = await old.ask("commit");
      expect(failure).toMatchObject({
        code: "ERR_KEY_STORE_FENCED",
        holder: { host: hostname(), pid: process.pid, label: "the new one" },
      });
      const { message } = failure as { message: string };
      expect(message).toContain(`process ${process.pid} on ${hostname()} (the new one) has taken over device D`);
      expect(device?.revision).toBe(0n);
      expect(await device?.count("c")).toBe(0);
    });
  });
}
