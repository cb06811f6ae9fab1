import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { directory } from "./place.ts";

const SOURCE = fileURLToPath(new URL("no-locks.c", import.meta.url));
const PROGRAM = fileURLToPath(new URL("child.ts", import.meta.url));

/** A library that makes every request for a lock fail, as a file system without locks does; `undefined` without a compiler. */
function library(place: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  const path = join(place, "no-locks.so");
  try {
    execFileSync("cc", ["-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  return existsSync(path) ? path : undefined;
}

it("refuses a file system that takes no locks, and leaves nothing there", async (test) => {
  const place = directory();
  const preload = library(place);
  if (preload === undefined) return test.skip("no C compiler");
  const path = join(place, "keys", "keys.db");
  const env = { ...process.env, LD_PRELOAD: preload };
  const child = spawn(process.execPath, [PROGRAM, "init", path, "1"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect(JSON.parse(said)).toEqual([
    expect.stringMatching(
      /^ERR_KEY_STORE_UNAVAILABLE: .*the file system takes no locks: choose a path on a local disk/,
    ),
  ]);
  expect(readdirSync(join(place, "keys"))).toEqual([]);
  return undefined;
});
