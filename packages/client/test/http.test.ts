import { startDevHomeserver } from "@holdfast/dev-homeserver";
import type { Logger } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import { isMatrixClientError } from "../src/errors.ts";
import { createHomeserverApi, type HomeserverApiOptions } from "../src/http/create-homeserver-api.ts";
import type { HomeserverApi } from "../src/http/homeserver-api.ts";
import { isHomeserverError } from "../src/http/homeserver-error.ts";
import { path } from "../src/http/path.ts";
import { fixedToken, type TokenSource } from "../src/http/token-source.ts";
import { type Answer, startScript, startServer } from "./support/http-server.ts";

const FAST = { firstMs: 1, maxMs: 4 };
const LIMITED: Answer = { status: 429, body: { errcode: "M_LIMIT_EXCEEDED", error: "slow down", retry_after_ms: 20 } };
const OK: Answer = { body: { ok: true } };

function apiOf(server: { readonly url: string }, options: Partial<HomeserverApiOptions> = {}): HomeserverApi {
  return createHomeserverApi({ baseUrl: server.url, tokens: fixedToken("syt_secret"), retry: FAST, ...options });
}

/** A logger that keeps its lines. */
function lines(): { readonly logger: Logger; readonly lines: string[] } {
  const kept: string[] = [];
  const keep = (line: string) => void kept.push(line);
  return { logger: { debug: keep, info: keep, warn: keep, error: keep }, lines: kept };
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => {
      throw new Error("it was expected to fail");
    },
    (error) => error,
  );

const unreachable = (message: RegExp) =>
  expect.objectContaining({ code: "HOMESERVER_UNREACHABLE", message: expect.stringMatching(message) });

describe("a request", () => {
  it("arrives with its token, query and body, and is answered with an object", async () => {
    await using server = await startScript({ body: { next_batch: "s1" } });
    const api = apiOf({ url: `${server.url}/` });
    expect(api.baseUrl).toBe(server.url);
    const query = { since: "a b&c", full_state: false, timeout: 0, filter: undefined };
    expect(await api.request("POST", path`/v3/rooms/${"!r/oom:x"}/send`, { query, body: { a: [1, null] } })).toEqual({
      next_batch: "s1",
    });
    const [{ method, path: at, headers, body } = expect.fail()] = server.received;
    expect([method, at]).toEqual([
      "POST",
      "/_matrix/client/v3/rooms/!r%2Foom%3Ax/send?since=a+b%26c&full_state=false&timeout=0",
    ]);
    expect(headers).toMatchObject({
      authorization: "Bearer syt_secret",
      "content-type": "application/json",
      "user-agent": "holdfast",
    });
    expect(body.toString()).toBe('{"a":[1,null]}');
  });

  it("carries no token where none is wanted, JSON as it is, and an empty object where there is no body", async () => {
    await using server = await startScript(OK);
    const api = apiOf(server);
    await api.request("POST", "/v3/login", { authenticated: false });
    await api.request("PUT", "/v3/x", { body: '{"n":1.0}' });
    await api.request("GET", "/v3/x");
    expect(server.received.map(({ headers, body }) => [headers.authorization, body.toString()])).toEqual([
      [undefined, "{}"],
      ["Bearer syt_secret", '{"n":1.0}'],
      ["Bearer syt_secret", ""],
    ]);
  });

  it("cannot be led elsewhere by what is put into its path", () => {
    expect(path`/v3/rooms/${"!a/../b?#"}/state/${""}`).toBe("/v3/rooms/!a%2F..%2Fb%3F%23/state/");
    expect(() => path`/v3/rooms/${".."}/state`).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});

describe("what a homeserver refuses", () => {
  it("is told with all of its answer, and not asked again", async () => {
    const body = { errcode: "M_WRONG_ROOM_KEYS_VERSION", error: "Wrong backup version.", current_version: "42" };
    await using server = await startScript({ status: 403, body });
    const error = await failure(apiOf(server).request("GET", "/v3/x"));
    expect(error).toMatchObject({ name: "HomeserverError", status: 403, errcode: body.errcode, body });
    expect(String(error)).toBe("HomeserverError: M_WRONG_ROOM_KEYS_VERSION (HTTP 403): Wrong backup version.");
    expect(server.received).toHaveLength(1);
  });

  it("may be a question for more authentication, which has no errcode", async () => {
    const body = { flows: [{ stages: ["m.login.password"] }], params: {}, session: "abc" };
    await using server = await startScript({ status: 401, body });
    const error = await failure(apiOf(server).request("POST", "/v3/keys/device_signing/upload"));
    expect(error).toMatchObject({ status: 401, errcode: "M_UNKNOWN", body: { session: "abc" } });
  });

  it("is nothing that something else on the way says", async () => {
    await using server = await startServer(({ path: at }) =>
      at.endsWith("/json")
        ? { status: 404, body: { message: "no route" } }
        : { status: 404, body: "<html>not found</html>" },
    );
    for (const at of ["/json", "/html"]) {
      const error = await failure(apiOf(server).request("GET", at, { query: { since: "private" } }));
      expect(error).toEqual(unreachable(/^GET http:\S+(json|html) has no answer from the homeserver: HTTP 404$/));
    }
    expect(server.received).toHaveLength(2);
  });
});

describe("what nobody knows the outcome of", () => {
  it.each<[string, Answer, RegExp]>([
    ["a connection that closes", "hang up", /other side closed|ECONNRESET|hang up/],
    ["an answer that breaks off", { cutAfter: '{"a":' }, /terminated|closed|aborted/],
    ["an error of the server", { status: 502, body: { errcode: "M_UNKNOWN", error: "?" } }, /HTTP 502: M_UNKNOWN/],
    ["a gateway's error", { status: 504, body: "<html>" }, /HTTP 504/],
  ])("is tried again for a GET and told for a POST: %s", async (_, answer, message) => {
    await using server = await startScript(answer, answer, OK);
    const api = apiOf(server);
    expect(await api.request("GET", "/v3/x")).toEqual({ ok: true });
    expect(server.received).toHaveLength(3);
    await using again = await startScript(answer, OK);
    expect(await failure(apiOf(again).request("POST", "/v3/x"))).toEqual(unreachable(message));
    expect(again.received).toHaveLength(1);
  });

  it("is told after the last attempt", async () => {
    await using server = await startScript({ status: 500, body: {} });
    const options = { retry: { ...FAST, retries: 2 } };
    expect(await failure(apiOf(server, options).request("PUT", "/v3/x"))).toEqual(unreachable(/HTTP 500/));
    expect(server.received).toHaveLength(3);
  });

  it("is told at once where nothing may be tried again", async () => {
    await using server = await startScript({ status: 500, body: {} });
    await failure(apiOf(server).request("GET", "/v3/x", { retry: "never" }));
    expect(server.received).toHaveLength(1);
  });

  it("has its reason behind it where nobody listens", async () => {
    const server = await startScript(OK);
    await server[Symbol.asyncDispose]();
    const error = await failure(apiOf(server, { retry: { retries: 0 } }).request("GET", "/v3/x"));
    expect(error).toEqual(unreachable(/ECONNREFUSED/));
    expect((error as Error).cause).toBeInstanceOf(TypeError);
  });

  it.each<[string, Answer]>([
    ["text", { body: "hello" }],
    ["a list", { body: [] }],
    ["a number", { body: "1" }],
    ["nothing", { body: "" }],
  ])("is an answer of %s: that is no homeserver, and is not asked again", async (_, answer) => {
    await using server = await startScript(answer);
    expect(await failure(apiOf(server).request("GET", "/v3/x"))).toEqual(unreachable(/no JSON object/));
    expect(server.received).toHaveLength(1);
  });

  it("is an answer longer than its bound", async () => {
    await using server = await startScript({ body: { filler: "x".repeat(2000) } });
    const api = apiOf(server, { maxResponseBytes: 1000 });
    expect(await failure(api.request("GET", "/v3/x"))).toEqual(unreachable(/more than 1000 bytes/));
  });

  it("is a redirection, which the token does not follow", async () => {
    await using other = await startScript(OK);
    await using server = await startScript({
      status: 301,
      headers: { location: `${other.url}/elsewhere?q=1` },
      body: "",
    });
    expect(await failure(apiOf(server).request("GET", "/v3/x"))).toEqual(unreachable(/redirects to \S+\/elsewhere:/));
    expect(other.received).toHaveLength(0);
  });
});

describe("a rate limit", () => {
  it("is waited for as long as the homeserver says, for a POST too", async () => {
    await using server = await startScript(LIMITED, LIMITED, OK);
    const { logger, lines: said } = lines();
    expect(await apiOf(server, { logger }).request("POST", "/v3/x")).toEqual({ ok: true });
    expect(said).toEqual([
      expect.stringMatching(/^attempt 1 failed, the next in 20 ms: M_LIMIT_EXCEEDED \(HTTP 429\): slow down$/),
      expect.stringMatching(/^attempt 2 failed, the next in 20 ms: /),
    ]);
  });

  it("may be said by a header, in seconds or as a date, and by something that is no homeserver", async () => {
    const wait = { status: 429, headers: { "retry-after": "0" }, body: "slow down" };
    const dated = { ...wait, headers: { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() } };
    await using server = await startScript(wait, dated);
    const error = await failure(apiOf(server).request("POST", "/v3/x"));
    expect(error).toMatchObject({ status: 429, errcode: "M_LIMIT_EXCEEDED" });
    const { retryAfterMs = 0 } = isHomeserverError(error) ? error : {};
    expect(Math.round(retryAfterMs / 60_000)).toBe(60);
    expect(server.received).toHaveLength(2);
  });

  it("is told at once where the wait would be too long, or nothing may be tried again", async () => {
    await using server = await startScript(LIMITED);
    const refused = expect.objectContaining({ errcode: "M_LIMIT_EXCEEDED", retryAfterMs: 20 });
    const impatient = apiOf(server, { retry: { ...FAST, maxRetryAfterMs: 19 } });
    expect(await failure(impatient.request("GET", "/v3/x"))).toEqual(refused);
    expect(await failure(apiOf(server).request("GET", "/v3/x", { retry: "never" }))).toEqual(refused);
    expect(server.received).toHaveLength(2);
  });
});

describe("the time of an attempt", () => {
  it("ends it, and the next may succeed", async () => {
    await using server = await startScript("silence", OK);
    expect(await apiOf(server).request("GET", "/v3/x", { timeoutMs: 500 })).toEqual({ ok: true });
    const api = apiOf(server, { retry: { retries: 0 } });
    await using silent = await startScript("silence");
    const late = failure(apiOf(silent).request("POST", "/v3/x", { timeoutMs: 500 }));
    expect(await late).toEqual(unreachable(/nothing within 500 ms/));
    expect(await api.request("GET", "/v3/x")).toEqual({ ok: true });
  });
});

describe("a signal", () => {
  it("ends an attempt with its reason, whatever that is", async () => {
    for (const reason of [new Error("enough"), "enough", { enough: true }]) {
      const controller = new AbortController();
      await using server = await startServer(() => {
        controller.abort(reason);
        return "silence";
      });
      expect(await failure(apiOf(server).request("GET", "/v3/x", { signal: controller.signal }))).toBe(reason);
      expect(server.received).toHaveLength(1);
    }
  });

  it("ends the wait for the next attempt, and a request that has not begun", async () => {
    await using server = await startScript({ ...(LIMITED as object), status: 429, body: { retry_after_ms: 50_000 } });
    const controller = new AbortController();
    const { signal } = controller;
    const logger: Logger = { ...lines().logger, debug: () => void setImmediate(() => controller.abort("stop")) };
    expect(await failure(apiOf(server, { logger }).request("GET", "/v3/x", { signal }))).toBe("stop");
    expect(await failure(apiOf(server).request("GET", "/v3/x", { signal }))).toBe("stop");
    expect(server.received).toHaveLength(1);
  });
});

describe("an access token that the homeserver does not know", () => {
  const unknown = (soft: boolean): Answer => ({
    status: 401,
    body: { errcode: "M_UNKNOWN_TOKEN", error: "expired", soft_logout: soft },
  });

  /** Knows one token, and how often it was asked for another. */
  function tokens(first: string, second: string | undefined): TokenSource & { readonly asked: unknown[] } {
    const asked: unknown[] = [];
    return {
      asked,
      token: async () => first,
      async renew(...asking) {
        asked.push(asking);
        return second;
      },
    };
  }

  it("is renewed, and the request made once more", async () => {
    await using server = await startServer(({ headers }) =>
      headers.authorization === "Bearer new" ? OK : unknown(true),
    );
    const source = tokens("old", "new");
    expect(await apiOf(server, { tokens: source }).request("POST", "/v3/x", { body: { a: 1 } })).toEqual({ ok: true });
    expect(source.asked).toEqual([["old", true]]);
    expect(server.received.map(({ body }) => body.toString())).toEqual(['{"a":1}', '{"a":1}']);
  });

  it("is told where there is no other, and where the other is not known either", async () => {
    await using server = await startScript(unknown(false));
    for (const [second, requests] of [
      [undefined, 1],
      ["newer", 3],
    ] as const) {
      const source = tokens("old", second);
      const error = await failure(apiOf(server, { tokens: source }).request("GET", "/v3/x"));
      expect(error).toMatchObject({ errcode: "M_UNKNOWN_TOKEN" });
      expect(source.asked).toEqual([["old", false]]);
      expect(server.received).toHaveLength(requests);
    }
  });

  it("does not hold up a request whose signal ends while another one is made", async () => {
    await using server = await startScript(unknown(true));
    const controller = new AbortController();
    const source: TokenSource = {
      token: async () => "old",
      renew: () => {
        controller.abort("stop");
        return new Promise(() => {});
      },
    };
    const request = apiOf(server, { tokens: source }).request("GET", "/v3/x", { signal: controller.signal });
    expect(await failure(request)).toBe("stop");
  });
});

describe("a secret", () => {
  it("is in no message, log line, or anything else of an error", async () => {
    await using server = await startScript("hang up", { status: 500, body: {} }, LIMITED, { status: 404, body: "" });
    const { logger, lines: said } = lines();
    const error = await failure(
      apiOf(server, { logger }).request("GET", "/v3/x", { query: { access_token: "syt_secret" } }),
    );
    expect(said).toHaveLength(3);
    const { inspect } = await import("node:util");
    expect(`${said} ${inspect(error, { depth: 9, showHidden: true })}`).not.toContain("syt_secret");
  });

  it("is not repeated where it cannot be a header", async () => {
    await using server = await startScript(OK);
    const error = await failure(apiOf(server, { tokens: fixedToken("syt_secret\n") }).request("GET", "/v3/x"));
    expect(isMatrixClientError(error, "CONFIG")).toBe(true);
    expect(String((error as Error).stack)).not.toContain("syt_secret");
  });

  it.each(["", "matrix.example.org", "ftp://example.org", "https://u:hunter2@example.org", "https://x.org/?hunter2"])(
    "is not repeated where it stands for an address: %j",
    (baseUrl) => {
      expect(() => createHomeserverApi({ baseUrl })).toThrow(expect.objectContaining({ code: "CONFIG" }));
      expect(() => createHomeserverApi({ baseUrl })).not.toThrow(/hunter2/);
    },
  );
});

describe("the API of a homeserver", () => {
  it("is spoken with the one for development", async () => {
    await using server = await startDevHomeserver();
    const register = { username: "bot", password: "pw", auth: { type: "m.login.dummy" } };
    const login = await apiOf(server).request("POST", "/v3/register", { body: register, authenticated: false });
    const api = apiOf(server, { tokens: fixedToken(String(login.access_token)) });
    const device = { user_id: "@bot:localhost", device_id: login.device_id };
    expect(await api.request("GET", "/v3/account/whoami")).toMatchObject(device);
    const error = await failure(apiOf(server).request("GET", "/v3/account/whoami"));
    expect(isHomeserverError(error, "M_UNKNOWN_TOKEN")).toBe(true);
  });
});
