import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DevPostgres, startPostgres, startTcpProxy } from "@holdfast/dev-postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Bot, exampleFile } from "../support/bot.ts";
import { expectNoKeyTwice } from "../support/no-key-twice.ts";
import { STORE_KEY, Stage, type User } from "../support/stage.ts";
import type { There } from "./suite.ts";

const KEY = Buffer.from(STORE_KEY).toString("base64");

/** Who a bot is that logs in by its password, and keeps its keys in a file. */
const environment = (stage: Stage, { userId, password }: User): Record<string, string> => ({
  MATRIX_HOMESERVER: stage.homeserver.baseUrl,
  MATRIX_USER_ID: userId,
  MATRIX_PASSWORD: password,
  USE_POSTGRES_STORE: "false",
  KEY_STORE_SQLITE_PATH: join(stage.directory, "bot.sqlite"),
  KEY_STORE_KEY: KEY,
});

/** The program that the project's README begins with, in a folder of its own where its packages are installed. */
async function programOfReadme(stage: Stage): Promise<string> {
  const readme = await readFile(exampleFile("../README.md"), "utf8");
  const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const folder = join(stage.directory, "readme");
  await mkdir(folder);
  await symlink(exampleFile("echo-bot/node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(join(folder, "bot.ts"), program);
  return join(folder, "bot.ts");
}

export function botSuite(there: There): void {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("the README's bot, with nothing but the environment, answers matrix-js-sdk in an encrypted room", async () => {
    await using stage = await Stage.on(there());
    const [user, alice] = [await stage.user("bot"), await stage.device("alice")];
    const sdk = await stage.sdk(alice);
    const bot = new Bot(stage, await programOfReadme(stage), environment(stage, user));
    await bot.says(`${user.userId} development true`);
    const roomId = await stage.room([alice]);
    await sdk.client.invite(roomId, user.userId);
    await sdk.say(roomId, "hello", [user]);
    await sdk.reads("You said: hello");
    expect(sdk.messages[0]?.isEncrypted()).toBe(true);
    expect(stage.homeserver.journal.events(roomId).map(({ type }) => type)).toEqual([
      "m.room.encrypted",
      "m.room.encrypted",
    ]);
  });

  it("the echo bot answers once each time, whatever ends it, as the same device", async () => {
    await using stage = await Stage.on(there());
    const [user, alice] = [await stage.user("bot"), await stage.device("alice")];
    const sdk = await stage.sdk(alice);
    const start = () => new Bot(stage, exampleFile("echo-bot/src/start.ts"), environment(stage, user));
    const first = start();
    await first.says(`${user.userId} is here, device`);
    const roomId = await stage.room([alice]);
    await sdk.client.invite(roomId, user.userId);
    await sdk.say(roomId, "one", [user]);
    await sdk.reads("one");
    await first.end("SIGKILL");
    await sdk.say(roomId, "two");
    const second = start();
    await sdk.reads("two");
    expect(await second.end("SIGTERM")).toBe(0);
    await sdk.say(roomId, "three");
    const third = start();
    await sdk.reads("three");
    expect(sdk.bodies).toEqual(["one", "two", "three"]);
    const here = [first, second, third].map(({ lines }) => lines.find((line) => line.includes("is here")));
    expect(new Set(here).size).toBe(1);
    expect(here[0]).toMatch(/device \S+, mode development$/);
    const said = [first, second, third].flatMap(({ lines }) => lines).join("\n");
    expect([said.includes(user.password), said.includes(KEY)]).toEqual([false, false]);
    expectNoKeyTwice(stage);
  });

  it("the bot on matrix-js-sdk survives PostgreSQL's going away: it loses no key, and is the same device", async () => {
    await using stage = await Stage.on(there());
    const [botDevice, alice] = [await stage.device("bot"), await stage.device("alice")];
    const proxy = await startTcpProxy({ target: server });
    stage.onEnd(async () => proxy[Symbol.asyncDispose]());
    const { userId, accessToken } = botDevice.credentials;
    const env = {
      MATRIX_HOMESERVER: stage.homeserver.baseUrl,
      MATRIX_ACCESS_TOKEN: accessToken,
      DATABASE_URL: proxy.url(await server.createDatabase()),
      KEY_STORE_KEY: KEY,
      KEY_STORE_ON_UNAVAILABLE: "fail",
    };
    const start = () => new Bot(stage, exampleFile("matrix-js-sdk-bot/src/bot.ts"), env);
    const ours = await stage.ours(alice);
    const first = start();
    await first.says(`${userId} is here`);
    const roomId = await stage.room([alice]);
    await ours.client.invite(roomId, userId);
    const joined = new Promise<void>((resolve) => {
      ours.client.on("event", ({ type, stateKey, content }) => {
        if (type === "m.room.member" && stateKey === userId && content.membership === "join") resolve();
      });
    });
    await joined;
    await ours.say(roomId, "one");
    await ours.until(() => ours.bodies.includes("one"));
    const keys = async () => {
      const query = { device_keys: { [userId]: [botDevice.credentials.deviceId] } };
      return JSON.stringify((await alice.call("POST", "/keys/query", query)).device_keys);
    };
    const identity = await keys();

    await proxy.setMode("refuse");
    proxy.severAll();
    // A room of its own has a key of its own, which comes while nothing can be kept.
    const another = await stage.room([alice, botDevice]);
    await ours.say(another, "two, while it is away");
    expect(await first.ended).toBe(1);
    expect(ours.bodies).toEqual(["one"]);

    await proxy.setMode("pass");
    const second = start();
    await second.says(`${userId} is here`);
    // By the same key: only who has kept it, or gets it again, can read this.
    await ours.say(another, "three");
    await ours.until(() => ours.bodies.includes("three"));
    expect(await keys()).toBe(identity);
    const ciphertexts = stage.homeserver.journal.events(another).filter(({ sender }) => sender !== userId);
    expect(new Set(ciphertexts.map(({ content }) => content.session_id)).size).toBe(1);
    expectNoKeyTwice(stage);
  });
}
