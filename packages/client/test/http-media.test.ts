import { describe, expect, it } from "vitest";
import { createHomeserverApi } from "../src/http/create-homeserver-api.ts";
import { parseMxc } from "../src/http/mxc.ts";
import { fixedToken } from "../src/http/token-source.ts";
import { type Answer, startScript, startServer } from "./support/http-server.ts";

const FAST = { firstMs: 1, maxMs: 4 };
const MXC = "mxc://example.org/abc-DEF_1";
const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);

const apiOf = ({ url }: { readonly url: string }) =>
  createHomeserverApi({ baseUrl: url, tokens: fixedToken("syt_secret"), retry: FAST });

const UNRECOGNIZED: Answer = { status: 404, body: { errcode: "M_UNRECOGNIZED", error: "no such endpoint" } };

describe("an upload", () => {
  it("arrives as it is, with its length said before", async () => {
    await using server = await startScript({ body: { content_uri: MXC } });
    expect(await apiOf(server).upload(bytes, { contentType: "image/png", filename: "a b.png" })).toBe(MXC);
    const [{ method, path, headers, body } = expect.fail()] = server.received;
    expect([method, path]).toEqual(["POST", "/_matrix/media/v3/upload?filename=a+b.png"]);
    expect(headers).toMatchObject({
      authorization: "Bearer syt_secret",
      "content-type": "image/png",
      "content-length": "300000",
    });
    expect(headers["transfer-encoding"]).toBeUndefined();
    expect(body.equals(bytes)).toBe(true);
  });

  it("of nothing is one too", async () => {
    await using server = await startScript({ body: { content_uri: MXC } });
    expect(await apiOf(server).upload(new Uint8Array())).toBe(MXC);
    expect(server.received[0]?.headers).toMatchObject({ "content-type": "application/octet-stream" });
    expect(server.received[0]?.body).toHaveLength(0);
  });

  it("is made again, whole, where its outcome is not known or its token has ended", async () => {
    const tokens = { token: async () => "old", renew: async () => "new" };
    await using server = await startServer(({ headers }) => {
      if (server.received.length === 1) return "hang up";
      return headers.authorization === "Bearer new"
        ? { body: { content_uri: MXC } }
        : { status: 401, body: { errcode: "M_UNKNOWN_TOKEN", error: "expired", soft_logout: true } };
    });
    const api = createHomeserverApi({ baseUrl: server.url, tokens, retry: FAST });
    expect(await api.upload(bytes)).toBe(MXC);
    expect(server.received.map(({ body }) => body.equals(bytes))).toEqual([true, true, true]);
  });

  it("is refused where it is too large, and has no answer where that is no mxc URI", async () => {
    await using large = await startScript({ status: 413, body: { errcode: "M_TOO_LARGE", error: "too large" } });
    await expect(apiOf(large).upload(bytes)).rejects.toMatchObject({ errcode: "M_TOO_LARGE" });
    for (const body of [{}, { content_uri: 1 }, { content_uri: "https://x" }]) {
      await using server = await startScript({ body });
      await expect(apiOf(server).upload(bytes)).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
  });
});

describe("a download", () => {
  it("comes with the token", async () => {
    await using server = await startScript({ body: bytes });
    expect(Buffer.from(await apiOf(server).download(MXC)).equals(bytes)).toBe(true);
    const [{ path, headers } = expect.fail()] = server.received;
    expect(path).toBe("/_matrix/client/v1/media/download/example.org/abc-DEF_1");
    expect(headers.authorization).toBe("Bearer syt_secret");
  });

  it.each<[string, Answer]>([
    ["does not know the endpoint", UNRECOGNIZED],
    ["has nothing there", { status: 404, body: { errcode: "M_NOT_FOUND", error: "no media" } }],
  ])("goes by the older endpoint, without the token, where the homeserver %s", async (_, answer) => {
    await using server = await startScript(answer, { body: bytes });
    expect(Buffer.from(await apiOf(server).download(MXC)).equals(bytes)).toBe(true);
    expect(server.received.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      ["/_matrix/client/v1/media/download/example.org/abc-DEF_1", "Bearer syt_secret"],
      ["/_matrix/media/v3/download/example.org/abc-DEF_1", undefined],
    ]);
  });

  it("is refused as the endpoint of today refused it, where both do", async () => {
    const missing = (error: string) => ({ status: 404, body: { errcode: "M_NOT_FOUND", error } });
    await using server = await startScript(missing("today"), missing("older"));
    await expect(apiOf(server).download(MXC)).rejects.toMatchObject({ body: { error: "today" } });
  });

  it("follows to where the media is, and leaves the token behind", async () => {
    await using other = await startScript({ body: bytes });
    await using server = await startScript({ status: 307, headers: { location: `${other.url}/cdn` }, body: "" });
    expect(Buffer.from(await apiOf(server).download(MXC)).equals(bytes)).toBe(true);
    expect(other.received.map(({ path, headers }) => [path, headers.authorization])).toEqual([["/cdn", undefined]]);
  });

  it("is made again where it broke off", async () => {
    await using server = await startScript({ cutAfter: "half" }, { body: "whole" });
    expect(Buffer.from(await apiOf(server).download(MXC)).toString()).toBe("whole");
  });

  it("is given up where it is longer than it may be, and not made again", async () => {
    await using server = await startScript({ body: bytes });
    await expect(apiOf(server).download(MXC, { maxBytes: 299_999 })).rejects.toMatchObject({
      code: "MALFORMED",
      message: "the media at /_matrix/client/v1/media/download/example.org/abc-DEF_1 has more than 299999 bytes",
    });
    expect(server.received).toHaveLength(1);
    expect(await apiOf(server).download(MXC, { maxBytes: 300_000 })).toHaveLength(300_000);
  });

  it("is given up and made again where it stands still, as an upload is", async () => {
    await using server = await startScript("silence", { body: "moves" }, "silence", { body: { content_uri: MXC } });
    const api = createHomeserverApi({ baseUrl: server.url, mediaIdleMs: 500, retry: FAST });
    expect(Buffer.from(await api.download(MXC)).toString()).toBe("moves");
    expect(await api.upload(bytes)).toBe(MXC);
    expect(server.received).toHaveLength(4);
  });

  it("ends with its signal", async () => {
    const controller = new AbortController();
    await using server = await startServer(() => {
      controller.abort("stop");
      return "silence";
    });
    await expect(apiOf(server).download(MXC, { signal: controller.signal })).rejects.toBe("stop");
  });
});

describe("an mxc URI", () => {
  it("names a server and its media", () => {
    expect(parseMxc(MXC)).toEqual({ serverName: "example.org", mediaId: "abc-DEF_1" });
    expect(parseMxc("mxc://[2001:db8::1]:8448/x")).toEqual({ serverName: "[2001:db8::1]:8448", mediaId: "x" });
  });

  it.each([
    "",
    "https://example.org/x",
    "mxc://example.org",
    "mxc://example.org/",
    "mxc:///x",
    "mxc://example.org/../x",
    "mxc://example.org/a/b",
    "mxc://example.org/a?b",
    "mxc://exa mple.org/a",
    `${MXC}\n`,
  ])("is not: %j", (uri) => {
    expect(() => parseMxc(uri)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});
