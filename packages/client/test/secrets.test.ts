import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { error, loseResponse } from "@holdfast/dev-homeserver/faults";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

const KEY = new Uint8Array(32).map((_, index) => 17 * index + 3);

/** A secret in the ways in which it could be written. */
function spellings(secret: string | Uint8Array): string[] {
  const bytes = Buffer.from(secret as string);
  const texts = [bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url"), bytes.toString("hex")];
  return typeof secret === "string" ? [secret, ...texts] : texts;
}

describe("a client's secrets", () => {
  it("are in no log line, no error and nothing of the file, while all goes well and while nothing does", async () => {
    const password = "the password of nobody else";
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const { userId } = alice.credentials;
    const login = { accessToken: undefined, password: "password of alice", userId, deviceId: "SECRETIVE", key: KEY };
    const writer = await world.connected(alice, login);
    const reader = await world.connected(bob, { key: KEY });
    const roomId = await world.room([alice, bob]);
    await writer.say(roomId, password);
    await reader.until(() => reader.messages.length === 1);
    const failures: unknown[] = [];
    const { faults } = world.homeserver;
    for (const path of ["/keys/upload", "/keys/query", "/sync", "/send/{eventType}/{txnId}"]) {
      faults.next({ path, userId }, loseResponse());
      faults.next({ path, userId }, error(502, "M_UNKNOWN"));
    }
    await writer.say(roomId, "again");
    faults.clear();
    faults.next({ path: "/send/{eventType}/{txnId}", userId }, error(403, "M_FORBIDDEN"));
    failures.push(await writer.say(roomId, "no").catch((failure: unknown) => failure));
    await writer.client.close();
    const wrong = world.client(alice, { ...login, key: new Uint8Array(32).fill(1) });
    failures.push(await wrong.client.connect().catch((failure: unknown) => failure));
    const refused = world.client(alice, { accessToken: `${bob.credentials.accessToken}x` });
    failures.push(await refused.client.connect().catch((failure: unknown) => failure));

    expect(failures).toMatchObject([
      { code: "REQUEST_REFUSED" },
      { code: "ERR_KEY_STORE_WRONG_KEY" },
      { code: "LOGIN_REFUSED" },
    ]);
    const tokens = world.homeserver.journal
      .entries({ path: "/login" })
      .flatMap(({ outcome }) => (typeof outcome === "object" ? [String(outcome.body.access_token)] : []));
    expect(tokens.length).toBeGreaterThan(0);
    const secrets = [KEY, "password of alice", password, bob.credentials.accessToken, ...tokens].flatMap(spellings);
    const told = [...writer.log, ...reader.log, ...wrong.log, ...refused.log, ...writer.errors, ...failures];
    const texts = told.map((one) => inspect(one, { depth: 10 }));
    for (const text of texts) for (const secret of secrets) expect(text).not.toContain(secret);
    const files = readdirSync(world.directory).filter((name) => name.includes("sqlite"));
    expect(files.length).toBeGreaterThanOrEqual(2);
    for (const file of files) {
      const content = readFileSync(join(world.directory, file));
      for (const secret of [...secrets, ...[KEY].map((key) => Buffer.from(key).toString("latin1"))]) {
        expect([file, content.includes(Buffer.from(secret, "latin1"))]).toEqual([file, false]);
      }
    }
  });
});
