import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as engine from "@matrix-org/matrix-sdk-crypto-wasm";
import { describe, expect, it } from "vitest";
import { isCall } from "../src/engine/serialise.ts";

const declarations = readFileSync(
  fileURLToPath(
    new URL("./pkg/matrix_sdk_crypto_wasm.d.ts", import.meta.resolve("@matrix-org/matrix-sdk-crypto-wasm")),
  ),
  "utf8",
).replaceAll(/\/\*\*[\s\S]*?\*\//g, "");

/** Methods of one object each, as the engine's declarations have them: class, name, and whether they return a promise. */
const methods = Array.from(declarations.matchAll(/^export class (\w+) \{\n([\s\S]*?)^\}/gm)).flatMap(
  ([, type = "", body = ""]) =>
    Array.from(body.matchAll(/^ {4}(\w+)\(.*\): (.*);$/gm), ([, name = "", result = ""]) => ({
      type,
      name,
      asynchronous: result.startsWith("Promise<"),
    })),
);

describe("the engine's calls", () => {
  it("are found in its declarations", () => {
    expect(methods).toContainEqual({ type: "OlmMachine", name: "receiveSyncChanges", asynchronous: true });
    expect(methods).toContainEqual({ type: "Device", name: "isVerified", asynchronous: false });
    expect(methods.length).toBeGreaterThan(150);
  });

  it("are those methods of the machine that return a promise, every one of them", () => {
    for (const { name, asynchronous } of methods.filter(({ type }) => type === "OlmMachine")) {
      expect([name, isCall(engine.OlmMachine, name)]).toEqual([name, asynchronous]);
    }
  });

  it("are those methods of what the machine hands out that return a promise, every one of them", () => {
    for (const { type, name, asynchronous } of methods) {
      if (type === "OlmMachine") continue;
      expect([type, name, isCall(Reflect.get(engine, type), name) ?? false]).toEqual([type, name, asynchronous]);
    }
  });
});
