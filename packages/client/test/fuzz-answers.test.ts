import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isMatrixClientError } from "../src/errors.ts";
import { createHomeserverApi } from "../src/http/create-homeserver-api.ts";
import type { JsonObject } from "../src/http/homeserver-api.ts";
import { isHomeserverError } from "../src/http/homeserver-error.ts";
import { anything, budget, fuzzTimeout } from "./support/fuzz.ts";
import { type Answer, startServer } from "./support/http-server.ts";
import { World } from "./support/world.ts";

const TOKEN = "syt_secret_token_of_the_fuzzer";

const statuses = fc.constantFrom(200, 201, 204, 301, 400, 401, 403, 404, 413, 429, 500, 502, 503);
const bodies = fc.oneof(
  anything.map((value) => JSON.stringify(value) ?? ""),
  fc.string(),
  fc.uint8Array({ maxLength: 200 }),
  fc.constant("[".repeat(20_000)),
  fc.constant(`{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":-1e99}`),
  fc.constant("x".repeat(100_000)),
);
const headers = fc.constantFrom<Record<string, string>>(
  {},
  { "content-type": "application/json" },
  { "content-encoding": "gzip" },
  { "retry-after": "-1" },
  { "retry-after": "never" },
  { location: "http://127.0.0.1:1/" },
);
const answers: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ status: statuses, headers, body: bodies }) },
  { weight: 1, arbitrary: fc.constant<Answer>("hang up") },
  { weight: 1, arbitrary: fc.record({ cutAfter: fc.string() }) },
);

describe("an answer of any shape", () => {
  it("is an object, or an error of ours that does not show the token", async () => {
    let answer: Answer = "hang up";
    await using server = await startServer(() => answer);
    const api = createHomeserverApi({
      baseUrl: server.url,
      tokens: { token: async () => TOKEN, renew: async () => undefined },
      maxResponseBytes: 50_000,
      retry: { retries: 1, firstMs: 1, maxMs: 2, maxRetryAfterMs: 5 },
    });
    await fc.assert(
      fc.asyncProperty(answers, async (given) => {
        answer = given;
        try {
          const body = await api.request("GET", "/v3/sync", { timeoutMs: 5_000 });
          expect(typeof body === "object" && body !== null && !Array.isArray(body)).toBe(true);
        } catch (error) {
          if (!isHomeserverError(error) && !isMatrixClientError(error)) throw error;
          expect(`${error.message} ${JSON.stringify(error)} ${(error as Error).stack}`).not.toContain(TOKEN);
        }
      }),
      budget(200),
    );
  });

  let world: World;
  beforeEach(async () => {
    world = await World.start();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  /** What a client asks for that is not sync, while it starts and sends. */
  const ASKED = ["/keys/query", "/keys/claim", "/keys/upload", "/members", "/state/", "/sendToDevice/", "/send/"];

  it(
    "ends a send with an error of ours at the worst, and the next one is read",
    async () => {
      const [alice, bob] = [await world.user("alice"), await world.user("bob")];
      const sender = await world.connected(alice);
      const reader = await world.connected(bob);
      const { userId } = alice.credentials;
      let said = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({ path: fc.constantFrom(...ASKED), status: fc.constantFrom(200, 400, 403, 404), anything }),
            {
              minLength: 3,
              maxLength: 6,
            },
          ),
          async (wrong) => {
            const roomId = await world.room([alice, bob]);
            const left = [...wrong];
            const stop = world.use(async (call, next) => {
              const at = left.findIndex(({ path }) => call.device?.userId === userId && call.path.includes(path));
              const [one] = at < 0 ? [] : left.splice(at, 1);
              if (one === undefined) return next();
              const body = (typeof one.anything === "object" ? one.anything : { value: one.anything }) as JsonObject;
              return { status: one.status, body: body ?? {} };
            });
            said += 1;
            try {
              await sender.client.sendText(roomId, `perhaps ${said}`, { signal: AbortSignal.timeout(4_000) });
            } catch (error) {
              const given = (error as Error).name === "TimeoutError";
              if (!given && !isMatrixClientError(error)) throw error;
            }
            stop();
            // What was made up may have said that the other has no device, or that all is well: a room of its own tells.
            const next = await world.room([alice, bob]);
            await sender.say(next, `surely ${said}`);
          },
        ),
        budget(6),
      );
      const plain = await world.room([alice, bob], false);
      await sender.say(plain, "the end");
      await reader.until(() => reader.bodies.includes("the end"));
    },
    fuzzTimeout(90_000),
  );
});
