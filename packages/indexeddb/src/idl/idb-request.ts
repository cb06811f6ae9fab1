import { exception } from "../errors.ts";
import type { EventHandler, EventNode } from "../events/event-node.ts";
import { defineEventHandlers, defineEventTarget } from "../events/event-target.ts";
import { KeyResult } from "../keys/decode.ts";
import type { RequestState } from "../request/request-state.ts";
import type { IDBDatabase } from "./idb-database.ts";
import type { IDBTransaction } from "./idb-transaction.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

let stateInside: (request: IDBRequest) => RequestState;

// It is one by defineEventTarget(), which leaves out a constructor that nothing here needs.
// biome-ignore lint/correctness/noUnusedVariables: both declarations must name the type of the result
export interface IDBRequest<T = unknown> extends EventTarget {}

/** https://www.w3.org/TR/IndexedDB-3/#idbrequest */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: both declare what defineEventTarget() makes
export class IDBRequest<T = unknown> {
  readonly #state: RequestState;

  declare onsuccess: EventHandler;
  declare onerror: EventHandler;

  static {
    stateInside = (request) => request.#state;
  }

  /** @internal Requests come from the methods that ask for something. */
  constructor(key: unknown = undefined, state?: RequestState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  /** What was asked for; undefined where it failed. Throws `InvalidStateError` while it is pending. */
  get result(): T {
    const state = this.#state;
    if (!state.done) throw exception("InvalidStateError", "the request has not finished");
    const { result } = state;
    return (result instanceof KeyResult ? result.value : result) as T;
  }

  /** Why it failed; null where it did not. Throws `InvalidStateError` while it is pending. */
  get error(): DOMException | null {
    const state = this.#state;
    if (!state.done) throw exception("InvalidStateError", "the request has not finished");
    return state.error;
  }

  /** The object store, index or cursor that was asked; null for requests of a factory. */
  get source(): object | null {
    return this.#state.source;
  }

  get transaction(): IDBTransaction | null {
    return this.#state.transaction?.target ?? null;
  }

  get readyState(): "pending" | "done" {
    return this.#state.done ? "done" : "pending";
  }
}

/** https://www.w3.org/TR/IndexedDB-3/#idbopendbrequest */
export class IDBOpenDBRequest extends IDBRequest<IDBDatabase> {
  declare onblocked: EventHandler;
  declare onupgradeneeded: EventHandler;
}

const nodeOf = (request: IDBRequest): EventNode => stateInside(request);

defineEventTarget(IDBRequest, nodeOf);
defineEventHandlers(IDBRequest, nodeOf, ["success", "error"]);
defineInterface(IDBRequest);
defineEventHandlers(IDBOpenDBRequest, nodeOf, ["blocked", "upgradeneeded"]);
defineInterface(IDBOpenDBRequest);
