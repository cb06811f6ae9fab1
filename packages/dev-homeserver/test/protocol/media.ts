import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { Actor, World } from "./actors.ts";

export function mediaSuite(world: () => World): void {
  const authorized = (actor: Actor) => ({ authorization: `Bearer ${actor.token}` });
  const upload = async (actor: Actor, bytes: Uint8Array, query = "") => {
    const response = await fetch(`${world().server.baseUrl}/_matrix/media/v3/upload${query}`, {
      method: "POST",
      headers: { ...authorized(actor), "content-type": "application/octet-stream" },
      body: Buffer.from(bytes),
    });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
  const download = (mxc: string, headers: Record<string, string>, prefix = "/_matrix/client/v1/media/download") =>
    fetch(`${world().server.baseUrl}${prefix}/${mxc.slice("mxc://".length)}`, { headers });

  test("comes back as it was uploaded, to whoever is logged in", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const bytes = randomBytes(100_000);
    const { body } = await upload(alice, bytes, "?filename=a%20file.bin");
    expect(body.content_uri).toMatch(/^mxc:\/\/localhost\/.+/);
    const response = await download(String(body.content_uri), authorized(bob));
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("content-disposition")).toMatch(/^attachment; filename/);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  });

  test("is given to nobody without a token, and not by the endpoint of old", async () => {
    const alice = await world().actor();
    const mxc = String((await upload(alice, randomBytes(10))).body.content_uri);
    const bare = await download(mxc, {});
    expect([bare.status, ((await bare.json()) as { errcode: string }).errcode]).toEqual([401, "M_MISSING_TOKEN"]);
    expect((await download(mxc, authorized(alice), "/_matrix/media/v3/download")).status).toBe(404);
    expect((await download("mxc://localhost/nothing", authorized(alice))).status).toBe(404);
  });

  test("has a greatest size, which the server tells", async () => {
    const alice = await world().actor();
    const config = await fetch(`${world().server.baseUrl}/_matrix/client/v1/media/config`, {
      headers: authorized(alice),
    });
    expect(await config.json()).toEqual({ "m.upload.size": 50 * 1024 * 1024 });
    const large = await upload(alice, new Uint8Array(50 * 1024 * 1024 + 1)).catch(() => "hung up");
    // A server may also close the connection on who goes on sending.
    if (large !== "hung up") expect(large).toMatchObject({ status: 413, body: { errcode: "M_TOO_LARGE" } });
  });
}
