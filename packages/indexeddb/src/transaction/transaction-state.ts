import { AsyncResource } from "node:async_hooks";
import type { Change, RecordReader } from "@holdfast/key-store-core";
import type { ConnectionState } from "../database/connection-state.ts";
import { asException, exception } from "../errors.ts";
import { abortEvent, errorEvent, plainEvent } from "../events/dispatched-event.ts";
import { EventNode } from "../events/event-node.ts";
import { ObjectStoreState } from "../handles/object-store-state.ts";
import { IDBTransaction } from "../idl/idb-transaction.ts";
import { internal } from "../idl/shape.ts";
import type { RequestState } from "../request/request-state.ts";
import { Records } from "../storage/records.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import { atEndOfTurn, queueTask, type Task, type Turn } from "../tasks.ts";
import { Changes, type WriteWatcher } from "./changes.ts";
import { Executor, type Job } from "./executor.ts";
import type { Operation } from "./operation.ts";
import type { Scheduled } from "./scheduler.ts";

export type TransactionMode = "readonly" | "readwrite" | "versionchange";
export type TransactionDurability = "default" | "strict" | "relaxed";

/** The inner side of an `IDBTransaction`. https://www.w3.org/TR/IndexedDB-3/#transaction-concept */
export class TransactionState extends EventNode implements Scheduled, Task, Turn {
  readonly target: IDBTransaction = new IDBTransaction(internal, this);
  readonly connection: ConnectionState;
  readonly mode: TransactionMode;
  readonly durability: TransactionDurability;
  readonly scope: readonly StoreSchema[];
  readonly context: AsyncResource;
  waiting = 0;
  phase: "active" | "inactive" | "committing" | "finished" = "active";
  error: DOMException | null = null;
  /** Reads records as this transaction sees them. */
  readonly records: Records;
  /** The object stores and indexes that it has made. */
  created: Set<StoreSchema | IndexSchema> | undefined;
  /** Called once when it has finished; true if it was committed. */
  onFinished: ((committed: boolean) => void) | undefined;
  /** What is added to the changes as it is committed. */
  lastChanges: (() => readonly Change[]) | undefined;

  // Most transactions read one record and are gone: what they do not need they do not make.
  /** The names of the stores when it was created: a later upgrade may rename them. */
  readonly #names: readonly string[];
  readonly #handles: ObjectStoreState[] = [];
  readonly #changes: Changes | undefined;
  readonly #executor: Executor;
  #granted = false;
  #commitStarted = false;
  #dropped = false;
  /** What the event that is being handled has decided about this transaction, if it is to abort. */
  #verdict: DOMException | undefined;

  constructor(
    connection: ConnectionState,
    mode: TransactionMode,
    durability: TransactionDurability,
    scope: readonly StoreSchema[],
    context: AsyncResource = new AsyncResource("IDBTransaction"),
  ) {
    super();
    this.context = context;
    this.connection = connection;
    this.mode = mode;
    this.durability = durability;
    this.scope = scope;
    this.#names = scope.map((store) => store.name);
    const base: RecordReader = connection.database.backend.store;
    this.#changes = mode === "readonly" ? undefined : new Changes(base);
    this.records = new Records(this.#changes?.overlay ?? base);
    this.#executor = new Executor(this);
    connection.transactionCreated();
    atEndOfTurn(this);
  }

  get eventParent(): EventNode {
    return this.connection;
  }

  get readOnly(): boolean {
    return this.mode === "readonly";
  }

  get isFinished(): boolean {
    return this.phase === "finished";
  }

  /** The names of the object stores in its scope: for an upgrade transaction all there are. */
  get scopeNames(): readonly string[] {
    return this.mode === "versionchange" ? this.connection.storeNames : this.#names;
  }

  storeNamed(name: string): StoreSchema | undefined {
    if (this.mode === "versionchange") return this.connection.database.schema.stores.get(name);
    return this.scope[this.#names.indexOf(name)];
  }

  /** The handle of an object store: always the same one. */
  handleOf(store: StoreSchema): ObjectStoreState {
    for (const handle of this.#handles) if (handle.store === store) return handle;
    const handle = new ObjectStoreState(this, store);
    this.#handles.push(handle);
    return handle;
  }

  /** Throws unless requests may be placed now. */
  requireActive(): void {
    if (this.phase !== "active") {
      throw exception(
        "TransactionInactiveError",
        "the transaction is not active: it has finished, or is not at work now",
      );
    }
  }

  /** Puts an operation into the queue; `request` is null for work that nobody asked for by a request. */
  place(operation: Operation, request: RequestState | null): void {
    this.#executor.place(operation, request);
  }

  granted(): void {
    this.#granted = true;
    this.#executor.start();
  }

  /** What it has changed. Not for one that only reads. */
  get changes(): Changes {
    if (this.#changes === undefined) throw new TypeError("a read-only transaction was asked to write");
    return this.#changes;
  }

  /** A record's value as it is now, where `read` is what it was before this group of operations. */
  current(collection: string, key: Uint8Array, read: Uint8Array | undefined): Uint8Array | undefined {
    return this.#changes === undefined ? read : this.#changes.current(collection, key, read);
  }

  /** Tells of every write from now on. */
  watch(watcher: WriteWatcher): void {
    if (!this.isFinished) this.#changes?.watch(watcher);
  }

  endTurn(): void {
    if (this.phase === "active") this.phase = "inactive";
    const verdict = this.#verdict;
    this.#verdict = undefined;
    if (verdict !== undefined) this.abort(verdict);
    else this.settle();
  }

  /** Aborts when the microtasks of the running task are done. */
  abortAtEndOfTurn(error: DOMException): void {
    this.#verdict = error;
    atEndOfTurn(this);
  }

  /** `IDBTransaction.commit()`: for a transaction that is active. */
  commit(): void {
    this.phase = "committing";
    this.settle();
  }

  /** Commits if there is nothing left to do and nobody can ask for more. */
  settle(): void {
    if (this.phase !== "inactive" && this.phase !== "committing") return;
    if (this.dropIfSilent()) return;
    if (this.#verdict !== undefined || this.#commitStarted || !this.#granted || !this.#executor.isIdle) return;
    this.phase = "committing";
    this.#commitStarted = true;
    const changes = this.#changes;
    if (changes === undefined) {
      queueTask(this);
      return;
    }
    const { database } = this.connection;
    const { overlay } = changes;
    for (const change of this.lastChanges?.() ?? []) overlay.apply(change);
    changes.storeGenerators(database.schema.id);
    if (overlay.isEmpty) {
      queueTask(this);
      return;
    }
    const fail = (error: unknown): void => {
      const failure = this.exceptionOf(error);
      queueTask({ runTask: () => this.abort(failure) });
    };
    try {
      database.backend.store.commit(overlay).then(() => queueTask(this), fail);
    } catch (error) {
      // A device store is to reject, not to throw.
      fail(error);
    }
  }

  /** Takes back everything. Without an error it is the program that wanted it so. */
  abort(error: DOMException | null): void {
    if (this.phase === "finished" || this.dropIfSilent()) return;
    this.phase = "finished";
    this.error = error;
    this.#changes?.takeBack();
    for (const request of this.#executor.cancel()) {
      // Not pending any more, though nobody has been told yet.
      queueTask({ runTask: () => this.#cancelRequest(request) });
    }
    queueTask({
      runTask: () => {
        this.#release();
        if (!this.connection.isSilent) this.fire("abort", abortEvent, true);
        this.onFinished?.(false);
      },
    });
  }

  /** The exception that a failure is told by, if it is told at all. */
  exceptionOf(error: unknown): DOMException {
    this.connection.observe(error);
    return asException(error);
  }

  /** Drops the transaction where nothing may be told of it any more; whether that is so. */
  dropIfSilent(): boolean {
    if (!this.connection.isSilent) return false;
    this.drop();
    return true;
  }

  /** Lets go of everything without a word. To the program it stays as it was: neither committed nor aborted. */
  drop(): void {
    if (this.#dropped || this.isFinished) return;
    this.#dropped = true;
    this.#changes?.takeBack();
    this.#executor.cancel();
    this.#release();
    this.onFinished?.(false);
  }

  /** Tells a request's result. Answers whether anybody listened: then the turn must end before the next one. */
  deliver({ operation, request, error, result }: Job): boolean {
    if (error === undefined) operation.told?.();
    if (request === null) {
      if (error !== undefined) this.abort(error);
      return false;
    }
    if (error === undefined) request.succeed(result);
    else request.fail(error);
    const bubbles = error !== undefined;
    const type = bubbles ? "error" : "success";
    if (!request.isHeard(type, bubbles)) {
      if (error !== undefined) this.abort(error);
      return false;
    }
    const event = bubbles ? errorEvent() : plainEvent(type);
    if (this.phase === "inactive") this.phase = "active";
    const { threw } = request.tell(event);
    if (threw && this.phase === "active") {
      this.#verdict = exception("AbortError", "a listener of one of its requests threw an exception");
    } else if (error !== undefined && !event.defaultPrevented) {
      this.#verdict = error;
    }
    atEndOfTurn(this);
    return true;
  }

  #cancelRequest(request: RequestState): void {
    if (this.connection.isSilent) return;
    request.fail(exception("AbortError", "the transaction was aborted"));
    request.fire("error", errorEvent, true);
  }

  /** Its task is to tell that it has been committed. */
  runTask(): void {
    if (this.phase === "finished" || this.dropIfSilent()) return;
    this.phase = "finished";
    this.#release();
    this.fire("complete", () => plainEvent("complete"));
    this.onFinished?.(true);
  }

  #release(): void {
    this.#changes?.release();
    this.connection.transactionFinished(this);
  }
}
