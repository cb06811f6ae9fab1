import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { megolmIndex } from "../src/megolm.ts";
import { mutantsNamed, patched } from "../src/mutants/mutants.ts";

const PACKAGES = join(import.meta.dirname, "../../packages");

describe("a mutant", () => {
  it.each(mutantsNamed("all").map((mutant) => [mutant.name, mutant.patches] as const))(
    "%s changes lines that are there",
    (_, patches) => {
      expect(patches.length).toBeGreaterThan(0);
      for (const file of new Set(patches.map((patch) => patch.file))) {
        const source = readFileSync(join(PACKAGES, file), "utf8");
        const changed = patched(
          source,
          patches.filter((patch) => patch.file === file),
        );
        expect(changed).not.toBe(source);
      }
    },
  );

  it("whose line is gone says so", () => {
    const patch = { file: "a.ts", from: "guard()", to: "" };
    expect(() => patched("no such call", [patch])).toThrow('a.ts has not exactly one "guard()": mend the mutant');
    expect(() => patched("guard(); guard();", [patch])).toThrow("mend the mutant");
  });
});

describe("the index of a Megolm message", () => {
  it.each([
    [Buffer.from([3, 8, 0, 0x12]), 0],
    [Buffer.from([3, 8, 127, 0x12]), 127],
    [Buffer.from([3, 8, 0x80, 1, 0x12]), 128],
    [Buffer.from([3, 8, 0xff, 0xff, 3, 0x12]), 65_535],
  ])("is read from its bytes", (bytes, index) => {
    expect(megolmIndex(bytes.toString("base64"))).toBe(index);
  });
});
