import { asException, exception } from "../errors.ts";
import { errorEvent, plainEvent } from "../events/dispatched-event.ts";
import { IDBVersionChangeEvent } from "../idl/idb-version-change-event.ts";
import type { OpenRequestState } from "../request/request-state.ts";
import type { Backend } from "../storage/backend.ts";
import { databaseChange, databaseRemoval, nextDatabaseChange } from "../storage/catalog.ts";
import type { DatabaseSchema } from "../storage/schema.ts";
import { atEndOfTurn, queueTask } from "../tasks.ts";
import { TransactionState } from "../transaction/transaction-state.ts";
import { type ConnectionOwner, ConnectionState } from "./connection-state.ts";
import { DatabaseState } from "./database-state.ts";

/** A database by the name it is stored under, and the name that the program knows it by. */
export interface DatabaseAddress {
  readonly backend: Backend;
  readonly owner: ConnectionOwner;
  readonly storedName: string;
  readonly name: string;
}

/** Places a request to open a database; `version` is undefined where none was asked for. */
export function placeOpen(
  address: DatabaseAddress,
  version: number | undefined,
  request: OpenRequestState,
): Promise<void> {
  return answer(address, request, async () => {
    const connection = await openDatabase(address, version, request);
    return () => {
      request.succeed(connection.target);
      request.fire("success", () => plainEvent("success"));
    };
  });
}

/** Places a request to delete a database. */
export function placeDelete(address: DatabaseAddress, request: OpenRequestState): Promise<void> {
  return answer(address, request, async () => {
    const oldVersion = await deleteDatabase(address, request);
    return () => {
      request.succeed(undefined);
      request.fire("success", () => versionChange("success", oldVersion, null));
    };
  });
}

/** Fails a request that was never placed. */
export function failRequest(request: OpenRequestState, error: unknown): Promise<void> {
  return task(() => fail(request, error));
}

function fail(request: OpenRequestState, error: unknown): void {
  request.fail(asException(error));
  request.fire("error", errorEvent, true);
}

/** Does what was asked for when its turn has come, and tells what came of it, unless nothing is to be told. */
function answer(address: DatabaseAddress, request: OpenRequestState, work: () => Promise<() => void>): Promise<void> {
  const { owner } = address;
  return inQueue(address, async () => {
    let tell: () => void;
    try {
      tell = await work();
    } catch (error) {
      owner.observe(error);
      tell = () => fail(request, error);
    }
    await task(() => {
      if (owner.isSilent) return;
      request.isBegun = true;
      tell();
    });
  });
}

/** Requests for one database are processed one after the other, each when the one before it is done. */
function inQueue({ backend, storedName }: DatabaseAddress, work: () => Promise<void>): Promise<void> {
  const before = backend.queues.get(storedName) ?? task(() => {});
  const after = before.then(work);
  backend.queues.set(storedName, after);
  after.finally(() => {
    if (backend.queues.get(storedName) === after) backend.queues.delete(storedName);
  });
  return after;
}

/** Runs a function as a task; resolves after it has run. */
function task(run: () => void): Promise<void> {
  return new Promise((resolve) => {
    queueTask({
      runTask() {
        resolve();
        run();
      },
    });
  });
}

/** https://www.w3.org/TR/IndexedDB-3/#open-a-database-connection */
async function openDatabase(
  { backend, owner, storedName, name }: DatabaseAddress,
  requested: number | undefined,
  request: OpenRequestState,
): Promise<ConnectionState> {
  await backend.load();
  const existing = backend.databases.get(storedName);
  const version = requested ?? existing?.schema.version ?? 1;
  if (existing !== undefined && existing.schema.version > version) {
    throw exception(
      "VersionError",
      `version ${version} was asked for, but the database has ${existing.schema.version}`,
    );
  }
  const database = existing ?? new DatabaseState(backend, newSchema(backend, storedName));
  const connection = new ConnectionState(database, owner, name, version, request.context);
  if (database.schema.version === version) return connection;

  const others = database.openConnections(connection);
  await askToClose(database, others, owner, version, request);
  await database.closedExcept(owner, connection);
  await upgrade(owner, connection, version, request, existing === undefined);
  return connection;
}

/** https://www.w3.org/TR/IndexedDB-3/#delete-a-database */
async function deleteDatabase(
  { backend, owner, storedName }: DatabaseAddress,
  request: OpenRequestState,
): Promise<number> {
  await backend.load();
  const database = backend.databases.get(storedName);
  if (database === undefined) return 0;
  await askToClose(database, database.openConnections(), owner, null, request);
  await database.closedExcept(owner);
  throwIfSilent(owner);
  request.isBegun = true;
  const { version } = database.schema;
  await backend.store.commit(databaseRemoval(database.schema));
  backend.databases.delete(storedName);
  return version;
}

/** Tells the other connections that the version is to change, and the request if they do not close. */
async function askToClose(
  database: DatabaseState,
  others: readonly ConnectionState[],
  owner: ConnectionOwner,
  newVersion: number | null,
  request: OpenRequestState,
): Promise<void> {
  const { version } = database.schema;
  for (const other of others) {
    await task(() => {
      if (other.closePending || other.isSilent) return;
      other.fire("versionchange", () => versionChange("versionchange", version, newVersion));
    });
  }
  if (others.length === 0) return;
  await task(() => {
    if (owner.isSilent || !others.some((other) => database.connections.has(other))) return;
    request.fire("blocked", () => versionChange("blocked", version, newVersion));
  });
}

/** https://www.w3.org/TR/IndexedDB-3/#upgrade-a-database */
async function upgrade(
  owner: ConnectionOwner,
  connection: ConnectionState,
  version: number,
  request: OpenRequestState,
  isNew: boolean,
): Promise<void> {
  const { database } = connection;
  const { schema, backend } = database;
  const oldVersion = schema.version;
  const transaction = new TransactionState(connection, "versionchange", "default", [], request.context);
  transaction.phase = "inactive";
  database.upgrade = transaction;
  const { nextId } = schema;
  transaction.changes.undoWith(() => {
    schema.version = oldVersion;
    schema.nextId = nextId;
    connection.version = oldVersion;
  });
  transaction.lastChanges = () => {
    schema.version = version;
    return [databaseChange(schema), ...(isNew ? [nextDatabaseChange(backend.nextDatabaseId)] : [])];
  };

  const finished = new Promise<boolean>((resolve) => {
    transaction.onFinished = (committed) => {
      request.transaction = null;
      if (!committed) request.reset();
      resolve(committed);
    };
  });
  await task(() => {
    if (owner.isSilent) {
      transaction.drop();
      return;
    }
    request.isBegun = true;
    request.succeed(connection.target);
    request.transaction = transaction;
    transaction.phase = "active";
    const event = () => versionChange("upgradeneeded", oldVersion, version);
    const { threw } = request.fire("upgradeneeded", event);
    if (threw) transaction.abortAtEndOfTurn(exception("AbortError", "a listener of upgradeneeded threw an exception"));
    transaction.granted();
    atEndOfTurn(transaction);
  });
  const committed = await finished;
  if (!committed) {
    connection.close();
    throw exception("AbortError", "the upgrade transaction was aborted");
  }
  if (isNew) backend.databases.set(schema.name, database);
  if (connection.closePending) throw exception("AbortError", "the connection was closed during the upgrade");
}

function throwIfSilent(owner: ConnectionOwner): void {
  // Never told: it only ends what nobody is to hear of.
  if (owner.isSilent) throw exception("AbortError", "the device store has failed");
}

function newSchema(backend: Backend, name: string): DatabaseSchema {
  const id = backend.nextDatabaseId;
  backend.nextDatabaseId += 1;
  return { id, name, version: 0, stores: new Map(), nextId: 1 };
}

function versionChange(type: string, oldVersion: number, newVersion: number | null): Event {
  return new IDBVersionChangeEvent(type, { oldVersion, newVersion });
}
