import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { matrixFromEnv } from "../src/config/matrix.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-matrix-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PASSWORD = { MATRIX_USER_ID: "@bot:example.org", MATRIX_PASSWORD: "hunter2" };

describe("who the client is", () => {
  it("is said by an access token and a homeserver alone", () => {
    expect({ ...matrixFromEnv({ MATRIX_HOMESERVER: "https://m.example.org", MATRIX_ACCESS_TOKEN: "syt_x" }) }).toEqual({
      homeserver: "https://m.example.org",
      userId: undefined,
      deviceId: undefined,
      credentials: { type: "access-token", accessToken: "syt_x" },
    });
  });

  it("is said by a user id and a password, on the server of the user id or another one", () => {
    const expected = {
      homeserver: "@bot:example.org",
      userId: "@bot:example.org",
      deviceId: "BOT",
      credentials: { type: "password", password: "hunter2" },
    };
    expect({ ...matrixFromEnv({ ...PASSWORD, MATRIX_DEVICE_ID: "BOT" }) }).toEqual(expected);
    const elsewhere = { ...PASSWORD, MATRIX_DEVICE_ID: "BOT", MATRIX_HOMESERVER: "example.com" };
    expect({ ...matrixFromEnv(elsewhere) }).toEqual({ ...expected, homeserver: "example.com" });
  });

  it("may have its secret in a file", () => {
    const path = join(folder, "password");
    writeFileSync(path, "hunter2\n");
    const { credentials } = matrixFromEnv({ MATRIX_USER_ID: "@bot:example.org", MATRIX_PASSWORD_FILE: path });
    expect(credentials).toEqual({ type: "password", password: "hunter2" });
  });

  it("is shown without its secret", () => {
    const found = matrixFromEnv(PASSWORD);
    const shown = [inspect(found, { showHidden: true, depth: 9 }), JSON.stringify(found), String(found)].join();
    expect(shown).toContain("credentials: 'password'");
    expect(shown).not.toContain("hunter2");
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ["nothing", {}, /set MATRIX_ACCESS_TOKEN or MATRIX_PASSWORD/],
    ["no secret", { MATRIX_USER_ID: "@bot:example.org" }, /set MATRIX_ACCESS_TOKEN or MATRIX_PASSWORD/],
    ["two secrets", { ...PASSWORD, MATRIX_ACCESS_TOKEN: "hunter2" }, /both set: keep one/],
    ["no homeserver", { MATRIX_ACCESS_TOKEN: "hunter2" }, /set MATRIX_HOMESERVER/],
    ["a password without a user", { MATRIX_HOMESERVER: "a.b", MATRIX_PASSWORD: "hunter2" }, /needs a MATRIX_USER_ID/],
    ["half a user id", { ...PASSWORD, MATRIX_USER_ID: "hunter2" }, /MATRIX_USER_ID must be a full user id/],
    ["a user of nowhere", { ...PASSWORD, MATRIX_USER_ID: "@bot:/hunter2" }, /MATRIX_USER_ID names no homeserver/],
    ["a broken address", { ...PASSWORD, MATRIX_HOMESERVER: "https://hunter2@b" }, /MATRIX_HOMESERVER is malformed/],
    ["a token of two lines", { MATRIX_HOMESERVER: "a.b", MATRIX_ACCESS_TOKEN: "hunter2\nx" }, /holds white space/],
    ["a file that is not there", { MATRIX_PASSWORD_FILE: "/hunter2" }, /MATRIX_PASSWORD_FILE names cannot be read/],
  ])("is not said by %s, and the message does not repeat a value", (_, env, message) => {
    const refused = expect.objectContaining({ name: "MatrixClientError", code: "CONFIG" });
    expect(() => matrixFromEnv(env)).toThrow(refused);
    expect(() => matrixFromEnv(env)).toThrow(message);
    expect(() => matrixFromEnv(env)).not.toThrow(/hunter2/);
  });
});
