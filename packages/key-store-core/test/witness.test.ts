import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { fileWitness } from "../src/witness.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-witness-"));
});

afterEach(() => rm(directory, { recursive: true }));

it("remembers a mark until it is told to forget it, in a directory that it makes", async () => {
  const witness = fileWitness(join(directory, "made"));
  expect(await witness.recall("store", DEVICE)).toBeUndefined();
  await witness.remember("store", DEVICE, { epoch: 3n, revision: 2n ** 62n });
  expect(await witness.recall("store", DEVICE)).toEqual({ epoch: 3n, revision: 2n ** 62n });
  expect(await witness.recall("another store", DEVICE)).toBeUndefined();
  await witness.remember("store", DEVICE, undefined);
  expect(await readdir(join(directory, "made"))).toEqual([]);
});

it("leaves no draft behind where it cannot write", async () => {
  const witness = fileWitness(directory);
  await witness.remember("store", DEVICE, { epoch: 1n, revision: 1n });
  const [name = ""] = await readdir(directory);
  // A directory that is not empty is not replaced by a file.
  await rename(join(directory, name), join(directory, "aside"));
  await fileWitness(join(directory, name)).remember("store", DEVICE, { epoch: 1n, revision: 1n });
  await expect(witness.remember("store", DEVICE, { epoch: 1n, revision: 2n })).rejects.toMatchObject({
    syscall: "rename",
  });
  expect((await readdir(directory)).sort()).toEqual([name, "aside"].sort());
});

it.each([[undefined], [""], [7], [null]])("is refused without a directory: %o", (path) => {
  expect(() => fileWitness(path as unknown as string)).toThrow(
    expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG" }),
  );
});
