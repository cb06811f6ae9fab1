import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { keyStoreError } from "../src/errors.ts";

/** An error as the server and the client make it, with all that either hangs on it. */
function serverError(code: string, severity = "ERROR"): Error {
  const error = Object.assign(new Error("the server refused the row"), {
    code,
    severity,
    table_name: "record",
    detail: "Failing row contains (1, 2, \\x736563726574).",
    where: "COPY record, line 1: secret",
    query: "insert into record values ('secret')",
    parameters: ["secret"],
    args: ["secret"],
  });
  return Object.defineProperty(error, "name", { value: "PostgresError" });
}

describe("an error of the server", () => {
  it("keeps its code and place, and nothing of what is stored, as the cause", () => {
    const { code, cause } = keyStoreError(serverError("23505"), "a commit");
    expect(code).toBe("ERR_KEY_STORE_CORRUPT");
    expect(cause).toMatchObject({ code: "23505", severity: "ERROR", table_name: "record" });
    expect(inspect(cause, { showHidden: true, depth: 9 })).not.toMatch(/secret|736563726574/);
  });

  const passing =
    "08000 08006 08P01 40001 53000 53200 53300 53400 57000 57P01 57P02 57P03 57P04 57P05 58000 XX000".split(" ");
  for (const state of passing) {
    it(`that ends the session with ${state} may be tried again`, () => {
      expect(keyStoreError(serverError(state, "FATAL"), "a commit").code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    });
  }

  for (const state of ["28P01", "28000", "3D000", "42501"]) {
    it(`that ends the session with ${state} needs somebody to act`, () => {
      expect(keyStoreError(serverError(state, "FATAL"), "a commit").code).toBe("ERR_KEY_STORE_CONFIG");
    });
  }

  it("of its inside that leaves the session open is not tried again", () => {
    expect(keyStoreError(serverError("XX000"), "a commit").code).toBe("ERR_KEY_STORE_CONFIG");
  });

  it("of a transaction that has failed before may be tried again", () => {
    expect(keyStoreError(serverError("25P02"), "a commit")).toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      retryable: true,
    });
  });
});

describe("an error of the system", () => {
  for (const code of ["EAGAIN", "EAI_FAIL", "ECONNREFUSED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ETIMEDOUT"]) {
    it(`${code} may be tried again`, () => {
      const error = Object.assign(new Error("connect"), { code });
      expect(keyStoreError(error, "connecting").code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    });
  }
});
