import type { IDBDatabase, IDBRequest, IDBTransaction } from "@holdfast/indexeddb";
import type { OpenIndexedDb, Subject } from "../../engines/subject.ts";
import { type BenchRecord, records } from "./records.ts";

/** A database with an object store to be filled, and one that has an index and is filled when it is wanted. */
export class Database {
  readonly #subject: Subject<OpenIndexedDb>;
  #opened: OpenIndexedDb;
  #connection: IDBDatabase;
  #filled = 0;

  private constructor(subject: Subject<OpenIndexedDb>, opened: OpenIndexedDb, connection: IDBDatabase) {
    this.#subject = subject;
    this.#opened = opened;
    this.#connection = connection;
  }

  static async create(subject: Subject<OpenIndexedDb>): Promise<Database> {
    const opened = await subject.open();
    return new Database(subject, opened, await connect(opened));
  }

  /** Begins a transaction on the object store that nothing has been put into. */
  writeEmpty(): IDBTransaction {
    return this.#connection.transaction("empty", "readwrite");
  }

  /** Begins a read-only transaction on the object store that {@link fill} has filled. */
  readFilled(): IDBTransaction {
    return this.#connection.transaction("filled");
  }

  /** Puts so many records into their object store, once, and opens everything again: what is read was not just written. */
  async fill(count: number): Promise<BenchRecord[]> {
    const wanted = records(count);
    if (this.#filled < count) {
      const transaction = this.#connection.transaction("filled", "readwrite");
      for (const record of wanted) transaction.objectStore("filled").put(record);
      await completed(transaction);
      this.#filled = count;
    }
    await this.close();
    this.#opened = await this.#subject.open();
    this.#connection = await connect(this.#opened);
    return wanted;
  }

  close(): Promise<void> {
    this.#connection.close();
    return this.#opened.close();
  }
}

/** The name of the filled object store's index, and what it is on. */
export const INDEX = "group";

async function connect({ factory }: OpenIndexedDb): Promise<IDBDatabase> {
  const request = factory.open("bench", 1);
  request.onupgradeneeded = () => {
    const database = request.result;
    database.createObjectStore("empty", { keyPath: "id" });
    database.createObjectStore("filled", { keyPath: "id" }).createIndex(INDEX, "group");
  };
  await succeeded(request);
  return request.result;
}

/** The result of a request. */
export function succeeded<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The end of a transaction. */
export function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
