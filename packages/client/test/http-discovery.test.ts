import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { describe, expect, it } from "vitest";
import { discoverHomeserver } from "../src/http/discovery.ts";
import type { Fetch } from "../src/http/exchange.ts";
import { type Answer, startScript, startServer, type TestServer } from "./support/http-server.ts";

const retry = { retries: 1, firstMs: 1, maxMs: 4 };
const VERSIONS = "/_matrix/client/versions";
const WELL_KNOWN = "/.well-known/matrix/client";

/** Servers that answer for names, as if there were certificates for them here. */
function hosts(servers: Readonly<Record<string, TestServer>>): Fetch {
  return (url, init) => {
    const { origin, pathname } = new URL(url);
    const server = servers[origin];
    if (server === undefined) throw new Error(`nobody is at ${origin}`);
    return fetch(`${server.url}${pathname}`, init);
  };
}

const homeserver = () => startScript({ body: { versions: ["r0.6.1", "v1.1", "v1.11"], unstable_features: {} } });
const wellKnown = (baseUrl: unknown) => startScript({ body: { "m.homeserver": { base_url: baseUrl } } });

const unreachable = (message: RegExp) => ({
  code: "HOMESERVER_UNREACHABLE",
  message: expect.stringMatching(message),
});

describe("a homeserver", () => {
  it("given by its URL is where it is, if it answers", async () => {
    await using server = await startDevHomeserver();
    const { baseUrl, versions } = await discoverHomeserver(`${server.url}/`, { retry });
    expect(baseUrl).toBe(server.url);
    expect(versions).toContain("v1.11");
  });

  it.each(["example.org", "@bot:example.org", "example.org:8448", "@bot:example.org:8448"])(
    "of %s is where the well-known file says",
    async (of) => {
      await using file = await wellKnown("https://matrix.example.org/");
      await using server = await homeserver();
      const fetch = hosts({ "https://example.org": file, "https://matrix.example.org": server });
      expect(await discoverHomeserver(of, { fetch, retry })).toEqual({
        baseUrl: "https://matrix.example.org",
        versions: ["r0.6.1", "v1.1", "v1.11"],
      });
      expect([file, server].map(({ received }) => received.map(({ path }) => path))).toEqual([
        [WELL_KNOWN],
        [VERSIONS],
      ]);
    },
  );

  it("is at its server name where there is no such file", async () => {
    await using server = await startServer(({ path }) =>
      path === VERSIONS ? { body: { versions: ["v1.1"] } } : { status: 404, body: "<html>" },
    );
    const fetch = hosts({ "https://example.org": server });
    expect(await discoverHomeserver("@bot:example.org", { fetch, retry })).toMatchObject({
      baseUrl: "https://example.org",
    });
  });

  it.each<[string, Answer]>([
    ["cannot be had", { status: 500, body: "" }],
    ["is a page", { body: "<html>" }],
    ["says nothing of a homeserver", { body: {} }],
    ["names no address", { body: { "m.homeserver": { base_url: 8448 } } }],
    ["names what is none", { body: { "m.homeserver": { base_url: "matrix.example.org" } } }],
    ["is longer than any", { body: { filler: "x".repeat(100_000) } }],
  ])("is nowhere where the file %s: the server name is not taken for it", async (_, answer) => {
    await using server = await startServer(({ path }) =>
      path === VERSIONS ? { body: { versions: ["v1.1"] } } : answer,
    );
    const fetch = hosts({ "https://example.org": server });
    await expect(discoverHomeserver("example.org", { fetch, retry })).rejects.toMatchObject(
      unreachable(/^GET https:\/\/example.org\/.well-known\/matrix\/client has no answer/),
    );
    expect(server.received.filter(({ path }) => path === VERSIONS)).toEqual([]);
  });

  it.each<[string, Answer, RegExp]>([
    ["does not answer", "hang up", /GET \S+\/versions has no answer/],
    ["answers with a page", { body: "<html>" }, /no JSON object/],
    ["refuses", { status: 404, body: { errcode: "M_NOT_FOUND", error: "?" } }, /is no Matrix homeserver/],
    ["names no versions", { body: {} }, /is no Matrix homeserver/],
    ["names other things", { body: { versions: [1] } }, /is no Matrix homeserver/],
    ["is too old", { body: { versions: ["r0.6.1"] } }, /does not speak Matrix v1.1/],
  ])("is none where it %s", async (_, answer, message) => {
    await using server = await startScript(answer);
    await expect(discoverHomeserver(server.url, { retry })).rejects.toMatchObject(unreachable(message));
  });

  it.each(["", "@bot", "@bot:", "exa mple.org", "file:///etc/passwd", "https://"])("is not named by %j", async (of) => {
    const fetch: Fetch = async () => expect.fail("nothing is asked");
    await expect(discoverHomeserver(of, { fetch, retry })).rejects.toMatchObject({ code: "CONFIG" });
  });
});
