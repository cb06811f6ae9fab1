import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { keyStoreError } from "../src/errors.ts";

/** An error as the server and the client make it, with all that either hangs on it. */
function serverError(code: string): Error {
  const error = Object.assign(new Error("the server refused the row"), {
    code,
    severity: "ERROR",
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

  it("of a transaction that has failed before may be tried again", () => {
    expect(keyStoreError(serverError("25P02"), "a commit")).toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      retryable: true,
    });
  });
});
