import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { Consumer } from "../src/consumer.ts";
import { addChangeset, release, type Versions } from "../src/release.ts";

const SQLITE = "@holdfast/key-store-sqlite";
const POSTGRES = "@holdfast/key-store-postgres";
const CORE = "@holdfast/key-store-core";
const CLIENT = "@holdfast/client";

/** A version with one of its parts raised. */
function raised(version: string | undefined, part: "minor" | "patch"): string {
  const [major = 0, minor = 0, patch = 0] = (version ?? "").split(".").map(Number);
  return part === "minor" ? `${major}.${minor + 1}.0` : `${major}.${minor}.${patch + 1}`;
}

describe("a second release", () => {
  const first = inject("versions");
  const workspace = inject("workspace");
  const consumer = new Consumer(inject("market"), "npm", "upgraded");
  let before: unknown;
  let second: Versions;
  beforeAll(async () => {
    await consumer.install([`${SQLITE}@${first[SQLITE]}`]);
    before = await consumer.run("sqlite", "esm");
    await addChangeset(workspace, { [SQLITE]: "patch", [POSTGRES]: "minor" });
    second = await release(workspace);
  });

  it("raises what has changed, gives the client a patch for its peer's minor, and leaves the others", () => {
    expect(second).toEqual({
      ...first,
      [SQLITE]: raised(first[SQLITE], "patch"),
      [POSTGRES]: raised(first[POSTGRES], "minor"),
      [CLIENT]: raised(first[CLIENT], "patch"),
    });
  });

  it("has written what changed into the changelog", async () => {
    const changelog = await readFile(join(workspace.directory, "packages/key-store-sqlite/CHANGELOG.md"), "utf8");
    const [, latest] = changelog.split(/^## /m);
    expect(latest).toMatch(
      new RegExp(`^${second[SQLITE]}\n\n### Patch Changes\n\n- \\w+: A change that a user could notice.`),
    );
  });

  it("upgrades the one package of an installation, which finds what the release before it wrote", async () => {
    expect(before).toEqual({ ready: true, kind: "sqlite", persistence: "durable", runs: 1 });
    await consumer.install([`${SQLITE}@latest`]);
    expect(await consumer.installed(SQLITE)).toBe(second[SQLITE]);
    expect(await consumer.installed(CORE)).toBe(first[CORE]);
    expect(await consumer.run("sqlite", "esm")).toEqual({
      ready: true,
      kind: "sqlite",
      persistence: "durable",
      runs: 2,
    });
  });
});
