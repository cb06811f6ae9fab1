import type { IDBDatabase, IDBFactory, IDBOpenDBRequest, IDBRequest, IDBTransaction } from "../../src/index.ts";

/** The result of a request, or its error. */
// biome-ignore lint/suspicious/noExplicitAny: results are what the test has put there
export function resultOf(request: IDBRequest): Promise<any> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Resolves when the transaction has completed; rejects with its error where it was aborted. */
export function completionOf(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Opens a database; `upgrade` makes its object stores. */
export function openDatabase(
  factory: IDBFactory,
  name: string,
  version?: number,
  upgrade?: (database: IDBDatabase, transaction: IDBTransaction, event: Event) => void,
): Promise<IDBDatabase> {
  const request: IDBOpenDBRequest = version === undefined ? factory.open(name) : factory.open(name, version);
  request.onupgradeneeded = (event) => {
    // There is one while the upgrade runs.
    upgrade?.(request.result as IDBDatabase, request.transaction as IDBTransaction, event);
  };
  return resultOf(request);
}

/** Resolves with the next event of this type. */
export function nextEvent(target: EventTarget, type: string): Promise<Event> {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}
