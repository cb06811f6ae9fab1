import type {
  IDBCursorWithValue,
  IDBDatabase,
  IDBFactory,
  IDBKeyRange,
  IDBObjectStore,
  IDBRequest,
} from "../../src/index.ts";
import type { Query, Request, TransactionStep } from "./programs.ts";
import { openDatabase } from "./requests.ts";

/** An implementation of IndexedDB. */
export interface Api {
  readonly factory: IDBFactory;
  readonly IDBKeyRange: typeof IDBKeyRange;
}

/** Runs a program; the answer is everything that a program can see of it, in order. */
export async function run(api: Api, steps: readonly TransactionStep[]): Promise<unknown[]> {
  const log: unknown[] = [];
  const database = await openDatabase(api.factory, "program", 1, (opened) => {
    for (const [name, options] of [
      ["out", {}],
      ["in", { keyPath: "id" }],
      ["auto", { keyPath: "id", autoIncrement: true }],
    ] as const) {
      const store = opened.createObjectStore(name, options);
      store.createIndex("n", "n");
      store.createIndex("u", "u", { unique: true });
      store.createIndex("tags", "tags", { multiEntry: true });
      store.createIndex("pair", ["n", "u"]);
    }
  });
  for (const step of steps) await runTransaction(api, database, step, log);
  database.close();
  return log;
}

async function runTransaction(api: Api, database: IDBDatabase, step: TransactionStep, log: unknown[]): Promise<void> {
  const transaction = database.transaction(["out", "in", "auto"], step.mode);
  const finished = new Promise<void>((resolve) => {
    transaction.onerror = (event) => {
      log.push(["transaction error", (event.target as unknown as IDBRequest).error?.name]);
      if (step.forgives) event.preventDefault();
    };
    transaction.oncomplete = () => {
      log.push(["complete"]);
      resolve();
    };
    transaction.onabort = () => {
      log.push(["abort", transaction.error?.name]);
      resolve();
    };
  });
  const pending = [...step.requests.entries()];
  const placeNext = (): void => {
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const [nth, request] = next;
      if (placeOne(nth, request) && step.oneByOne) return;
    }
  };
  const placeOne = (nth: number, request: Request): boolean => {
    try {
      const placed = place(api, transaction.objectStore(storeOf(request)), request);
      listen(placed, nth, request, log, () => step.oneByOne && placeNext());
      return true;
    } catch (error) {
      log.push([nth, request.do, "throws", (error as Error).name]);
      return false;
    }
  };
  placeNext();
  try {
    if (step.end === "commit" && !step.oneByOne) transaction.commit();
    if (step.end === "abort") transaction.abort();
  } catch (error) {
    log.push([step.end, "throws", (error as Error).name]);
  }
  await finished;
}

function storeOf(request: Request): string {
  return "store" in request ? request.store : request.place.store;
}

function place(api: Api, store: IDBObjectStore, request: Request): IDBRequest {
  switch (request.do) {
    case "put":
    case "add":
      return request.key === undefined
        ? store[request.do](request.value)
        : store[request.do](request.value, request.key);
    case "clear":
      return store.clear();
    case "delete":
      return store.delete(toQuery(api, request.query));
    default: {
      const source = request.place.index === undefined ? store : store.index(request.place.index);
      const query = toQuery(api, request.query);
      if (request.do === "cursor") return source.openCursor(query, request.direction);
      if (request.do === "getAll" || request.do === "getAllKeys") return source[request.do](query, request.count);
      return source[request.do](query);
    }
  }
}

function toQuery({ IDBKeyRange: ranges }: Api, query: Query): unknown {
  switch (query.kind) {
    case "all":
      return undefined;
    case "key":
      return query.key;
    case "bound":
      return ranges.bound(...query.bounds, ...query.open);
    case "lower":
      return ranges.lowerBound(query.key, query.open);
    case "upper":
      return ranges.upperBound(query.key, query.open);
  }
}

/** Writes down what a request comes to; `done` is called when it is over. */
function listen(placed: IDBRequest, nth: number, request: Request, log: unknown[], done: () => void): void {
  const steps = request.do === "cursor" ? [...request.steps] : [];
  placed.onerror = () => {
    log.push([nth, request.do, "error", placed.error?.name]);
    done();
  };
  placed.onsuccess = () => {
    if (request.do !== "cursor") {
      log.push([nth, request.do, placed.result]);
      done();
      return;
    }
    const cursor = placed.result as IDBCursorWithValue | null;
    if (cursor === null) {
      log.push([nth, "end"]);
      done();
      return;
    }
    log.push([nth, "at", cursor.key, cursor.primaryKey, cursor.value]);
    const step = steps.shift() ?? { act: "stop", count: 1 };
    try {
      if (!act(cursor, step.act, step.count, (entry) => log.push([nth, ...entry]))) done();
    } catch (error) {
      log.push([nth, step.act, "throws", (error as Error).name]);
      done();
    }
  };
}

/** Whether the cursor moves on. */
function act(cursor: IDBCursorWithValue, what: string, count: number, say: (entry: unknown[]) => void): boolean {
  if (what === "stop") return false;
  if (what === "advance") {
    cursor.advance(count);
    return true;
  }
  if (what === "update" || what === "delete") {
    const request =
      what === "delete" ? cursor.delete() : cursor.update({ ...(cursor.value as object), n: count, changed: true });
    request.onsuccess = () => say([what, request.result]);
    request.onerror = () => say([what, "error", request.error?.name]);
  }
  cursor.continue();
  return true;
}
