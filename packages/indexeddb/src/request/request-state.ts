import { AsyncResource } from "node:async_hooks";
import { EventNode } from "../events/event-node.ts";
import { IDBOpenDBRequest, IDBRequest } from "../idl/idb-request.ts";
import { internal } from "../idl/shape.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";

/** The inner side of an `IDBRequest`. */
export class RequestState extends EventNode {
  readonly target: IDBRequest = new IDBRequest(internal, this);
  /** The object store, index or cursor that it was asked of, as its public object. */
  readonly source: object | null;
  transaction: TransactionState | null;
  done = false;
  result: unknown;
  error: DOMException | null = null;

  constructor(source: object | null, transaction: TransactionState | null) {
    super();
    this.source = source;
    this.transaction = transaction;
  }

  get eventParent(): EventNode | undefined {
    return this.transaction ?? undefined;
  }

  get context(): AsyncResource {
    return (this.transaction as TransactionState).context; // one of the factory, which has none, has its own context
  }

  succeed(result: unknown): void {
    this.done = true;
    this.result = result;
    this.error = null;
  }

  fail(error: DOMException): void {
    this.done = true;
    this.result = undefined;
    this.error = error;
  }

  /** A cursor's request is used again for each of its steps. */
  reset(): void {
    this.done = false;
    this.result = undefined;
    this.error = null;
  }
}

/** The inner side of an `IDBOpenDBRequest`, whose events stay with it. */
export class OpenRequestState extends RequestState {
  override readonly target: IDBOpenDBRequest = new IDBOpenDBRequest(internal, this);
  readonly #context = new AsyncResource("IDBOpenDBRequest");
  /** Whether anything of it was told or written: then it is never carried out a second time. */
  isBegun = false;

  constructor() {
    super(null, null);
  }

  override get context(): AsyncResource {
    return this.#context;
  }

  override get eventParent(): undefined {
    return undefined;
  }
}
