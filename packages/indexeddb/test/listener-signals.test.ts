import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase, type IDBRequest } from "../src/index.ts";
import { nextEvent, openDatabase } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

function openStore(): Promise<IDBDatabase> {
  return openDevice().then((device) =>
    openDatabase(createIndexedDB(device), "db", 1, (db) => db.createObjectStore("s")),
  );
}

function ask(database: IDBDatabase): IDBRequest {
  return database.transaction("s").objectStore("s").get(1);
}

it("a listener is not called once its signal has aborted, not even by the event that it aborts in", async () => {
  const database = await openStore();
  const request = ask(database);
  const [before, during] = [new AbortController(), new AbortController()];
  const called: string[] = [];
  request.addEventListener("success", () => called.push("aborted before"), { signal: before.signal });
  request.addEventListener("success", () => {
    called.push("aborts");
    during.abort();
  });
  request.addEventListener("success", () => called.push("aborted meanwhile"), { signal: during.signal });
  request.addEventListener("success", () => called.push("never given"), { signal: AbortSignal.abort() });
  before.abort();
  await nextEvent(request, "success");
  expect(called).toEqual(["aborts"]);
});

it("a listener whose signal has aborted can be added again, and comes last then", async () => {
  const request = ask(await openStore());
  const controller = new AbortController();
  const called: string[] = [];
  const first = () => called.push("first");
  request.addEventListener("success", first, { signal: controller.signal });
  request.addEventListener("success", () => called.push("second"));
  controller.abort();
  request.addEventListener("success", first);
  await nextEvent(request, "success");
  expect(called).toEqual(["second", "first"]);
});

it("a signal that lives on keeps none of the requests that it was given to", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const database = await openStore();
  const { signal } = new AbortController();
  const left = await (async () => {
    const requests: WeakRef<IDBRequest>[] = [];
    for (const once of [false, true]) {
      const request = ask(database);
      await new Promise<void>((resolve) => {
        request.addEventListener("success", () => resolve(), { signal, once });
      });
      requests.push(new WeakRef(request));
    }
    return requests;
  })();
  for (let tries = 0; tries < 20 && left.some((each) => each.deref() !== undefined); tries += 1) {
    await nextEvent(ask(database), "success");
    collect();
  }
  expect(left.map((each) => each.deref())).toEqual([undefined, undefined]);
  expect(signal.aborted).toBe(false);
});
