import { AsyncResource } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import { ConnectionState } from "../src/database/connection-state.ts";
import { DatabaseState } from "../src/database/database-state.ts";
import { createIndexedDB } from "../src/index.ts";
import { RequestState } from "../src/request/request-state.ts";
import { backendOf } from "../src/storage/backend.ts";
import type { Operation } from "../src/transaction/operation.ts";
import { schedule } from "../src/transaction/scheduler.ts";
import { TransactionState } from "../src/transaction/transaction-state.ts";
import { completionOf, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice, withMethods } from "./support/stores.ts";

/** A transaction with no object stores, which runs what is placed. */
async function begin(): Promise<TransactionState> {
  const schema = { id: 1, name: "d", version: 1, stores: new Map(), nextId: 1 };
  const database = new DatabaseState(backendOf(await openDevice()), schema);
  const owner = { isSilent: false, isClosing: false, observe() {}, opened() {}, closed() {} };
  const connection = new ConnectionState(database, owner, "d", 1, new AsyncResource("test"));
  const transaction = new TransactionState(connection, "readonly", "default", []);
  schedule(transaction);
  return transaction;
}

function place(transaction: TransactionState, operation: Partial<Operation>): Promise<unknown> {
  const request = new RequestState(null, transaction);
  transaction.place({ writes: false, scans: false, run: () => "ran", ...operation }, request);
  // Listened to, and its failure kept from aborting the others.
  request.target.addEventListener("error", (event) => event.preventDefault());
  return resultOf(request.target);
}

describe("an operation that cannot be planned", () => {
  it("fails alone: those before and behind it in its group run", async () => {
    const transaction = await begin();
    const failing = (error: unknown): Partial<Operation> => ({
      plan() {
        throw error;
      },
      run: () => expect.unreachable("it ran without a plan"),
    });
    const results = Promise.allSettled([
      place(transaction, { plan: () => true }),
      place(transaction, failing(new TypeError("no plan"))),
      place(transaction, failing(new DOMException("bad", "DataError"))),
      place(transaction, { plan: () => true }),
    ]);
    const completed = completionOf(transaction.target);
    expect(await results).toEqual([
      { status: "fulfilled", value: "ran" },
      { status: "rejected", reason: expect.objectContaining({ name: "UnknownError" }) },
      { status: "rejected", reason: expect.objectContaining({ name: "DataError", message: "bad" }) },
      { status: "fulfilled", value: "ran" },
    ]);
    await completed;
  });
});

describe("a device store that throws where it is to reject", () => {
  it("fails the request and aborts its transaction, and the object store goes on", async () => {
    const device = await openDevice();
    let broken = false;
    const fail = (): never => {
      throw new TypeError("thrown, not rejected");
    };
    const store = withMethods(device, {
      getMany: (collection, keys) => (broken ? fail() : device.getMany(collection, keys)),
      list: (collection, range, page) => (broken ? fail() : device.list(collection, range, page)),
      commit: (changes) => (broken ? fail() : device.commit(changes)),
    });
    const database = await openDatabase(createIndexedDB(store), "d", 1, (opened) => {
      opened.createObjectStore("s");
    });
    broken = true;
    for (const read of ["get", "getAll", "openCursor"] as const) {
      const transaction = database.transaction("s", "readwrite");
      const request = resultOf(transaction.objectStore("s")[read](1));
      const completed = completionOf(transaction);
      await expect(request).rejects.toMatchObject({ name: "UnknownError" });
      await expect(completed).rejects.toMatchObject({ name: "UnknownError" });
    }
    const writing = database.transaction("s", "readwrite");
    const aborted = completionOf(writing);
    writing.objectStore("s").put("lost", 1);
    await expect(aborted).rejects.toMatchObject({ name: "UnknownError" });
    broken = false;
    const after = database.transaction("s", "readwrite").objectStore("s");
    expect(await resultOf(after.get(1))).toBe(undefined);
    after.put("one", 1);
    expect(await resultOf(after.get(1))).toBe("one");
  });
});
