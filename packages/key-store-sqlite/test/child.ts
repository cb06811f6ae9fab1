// A process of its own, with a key store in it: `node child.ts COMMAND PATH [ARGUMENT]`.
import { once } from "node:events";
import { writeSync } from "node:fs";
import { isKeyStoreError } from "@holdfast/key-store-core";
import { SqliteKeyStore } from "../src/index.ts";

const [command = "", path = "", argument = "0"] = process.argv.slice(2);
const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };

/** One line of JSON to the parent, out before this returns. */
function say(message: unknown): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

async function device(store: SqliteKeyStore) {
  if (!(await store.init())) throw new Error(JSON.stringify(store.status));
  const opened = await store.openDevice(DEVICE, { lease: "fail" });
  if (opened === null) throw new Error("the store is not ready");
  return opened;
}

/** Three records that say which commit wrote them. */
function changes(revision: bigint, size: number) {
  const value = new Uint8Array(size);
  new DataView(value.buffer).setBigUint64(0, revision);
  return ["a", "b", "c"].map((key) => ({
    type: "put" as const,
    collection: "sessions",
    key: new TextEncoder().encode(key),
    value,
  }));
}

const commands: Record<string, () => Promise<void>> = {
  /** Says whether stores become ready that are made at once, or why not. */
  async init() {
    const stores = Array.from({ length: Math.max(1, Number(argument)) }, () => new SqliteKeyStore(path));
    await Promise.all(stores.map((store) => store.init()));
    say(
      stores.map(({ status }) => (status.state === "unavailable" ? `${status.code}: ${status.reason}` : status.state)),
    );
    await Promise.all(stores.map((store) => store.close()));
  },

  /** The same as a user without rights. */
  async initAsNobody() {
    if (process.getuid?.() === 0) process.setuid?.(65_534);
    await commands.init?.();
  },

  /** Holds the device until the parent writes something; says how the commit then ends. */
  async hold() {
    const store = new SqliteKeyStore({ path, label: "the child" });
    const held = await device(store);
    say("open");
    await once(process.stdin, "data");
    const outcome = await held.commit(changes(1n, 8)).then(
      () => "committed",
      (error: unknown) => (isKeyStoreError(error) ? error.code : String(error)),
    );
    say(outcome);
    await store.close();
    process.stdin.destroy();
  },

  /** Commits until it is killed; says the revision of each commit that has resolved. */
  async write() {
    const open = await device(new SqliteKeyStore(path));
    for (;;) {
      await open.commit(changes(open.revision + 1n, Number(argument)));
      say(Number(open.revision));
    }
  },

  /** Ends without closing anything. */
  async exit() {
    const open = await device(new SqliteKeyStore(path));
    await open.commit(changes(open.revision + 1n, 8));
    process.exit(0);
  },
};

await commands[command]?.();
