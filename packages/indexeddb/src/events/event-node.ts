import type { AsyncResource } from "node:async_hooks";
import { reportException } from "../tasks.ts";
import { type Flow, flowOf } from "./dispatched-event.ts";

/** What `addEventListener` takes: a function, or an object with a `handleEvent` method. */
export type EventCallback = ((event: Event) => unknown) | { handleEvent(event: Event): unknown };

/** The value of an event handler attribute such as `onsuccess`. */
export type EventHandler = ((event: Event) => unknown) | null;

interface Listener {
  readonly type: string;
  callback: EventCallback | null;
  readonly capture: boolean;
  readonly once: boolean;
  /** Whether it is an event handler attribute: those are replaced in place, and cancel by returning false. */
  readonly handler: boolean;
  /**
   * Removes it by having aborted. It is asked and not listened to: a listener on
   * it would hold every request that it was given to for as long as it lives.
   */
  readonly signal: AbortSignal | undefined;
  removed: boolean;
}

/** What came of a dispatch. */
export interface DispatchOutcome {
  /** Whether any listener was called. */
  readonly called: boolean;
  /** Whether a listener threw: the transaction is aborted then. */
  readonly threw: boolean;
}

const NOT_CALLED: DispatchOutcome = Object.freeze({ called: false, threw: false });

const CAPTURING_PHASE = 1;
const AT_TARGET = 2;
const BUBBLING_PHASE = 3;

/**
 * The inner side of an event target. Node's `EventTarget` dispatches to one
 * object only; events here take the path that the specification gives them,
 * from a request over its transaction to the connection.
 */
export abstract class EventNode {
  /** The public object, which events have as their target. */
  abstract readonly target: EventTarget;
  /** Where events go next; undefined at the end of the path. */
  abstract readonly eventParent: EventNode | undefined;
  /** Where listeners run: in the asynchronous context of the code that asked for what they are told. */
  abstract readonly context: AsyncResource;

  #listeners: Listener[] | undefined;

  addListener(type: string, callback: EventCallback | null, options: ListenerOptions): void {
    const { capture, once, signal } = options;
    if (callback === null || signal?.aborted) return;
    this.#listeners ??= [];
    this.#dropAborted();
    for (const each of this.#listeners) {
      if (!each.handler && each.type === type && each.callback === callback && each.capture === capture) return;
    }
    this.#listeners.push({ type, callback, capture, once, handler: false, signal, removed: false });
  }

  removeListener(type: string, callback: EventCallback | null, capture: boolean): void {
    const at = this.#listeners?.findIndex(
      (each) => !each.handler && each.type === type && each.callback === callback && each.capture === capture,
    );
    if (at === undefined || at < 0) return;
    const [listener] = this.#listeners?.splice(at, 1) ?? [];
    if (listener !== undefined) listener.removed = true;
  }

  getHandler(type: string): EventHandler {
    return (this.#listeners?.[this.#handlerAt(type)]?.callback as EventHandler | undefined) ?? null;
  }

  /** Sets an event handler attribute: it keeps its place among the listeners until it is set to null. */
  setHandler(type: string, value: unknown): void {
    const handler = typeof value === "function" || (typeof value === "object" && value !== null) ? value : null;
    this.#listeners ??= [];
    const at = this.#handlerAt(type);
    const existing = this.#listeners[at];
    if (existing === undefined) {
      if (handler === null) return;
      const callback = handler as EventCallback;
      const signal = undefined;
      this.#listeners.push({ type, callback, capture: false, once: false, handler: true, signal, removed: false });
    } else if (handler === null) {
      existing.removed = true;
      this.#listeners.splice(at, 1);
    } else {
      existing.callback = handler as EventCallback;
    }
  }

  /** Whether an event of this type would reach anybody: where it would not, none need be made. */
  isHeard(type: string, bubbles: boolean): boolean {
    if (this.#hears(type, true)) return true;
    for (let node = this.eventParent; node !== undefined; node = node.eventParent) {
      if (node.#hears(type, bubbles)) return true;
    }
    return false;
  }

  /**
   * Dispatches an event here and along the path. Exceptions of listeners are
   * reported and do not end the dispatch.
   */
  dispatch(event: Event): DispatchOutcome {
    const flow = flowOf(event);
    const outcome = { called: false, threw: false };
    const parent = this.eventParent;
    const grandparent = parent?.eventParent;
    flow.target = this.target;
    flow.node = this;
    grandparent?.invoke(event, flow, CAPTURING_PHASE, outcome);
    parent?.invoke(event, flow, CAPTURING_PHASE, outcome);
    this.invoke(event, flow, AT_TARGET, outcome);
    if (event.bubbles) {
      parent?.invoke(event, flow, BUBBLING_PHASE, outcome);
      grandparent?.invoke(event, flow, BUBBLING_PHASE, outcome);
    }
    flow.currentTarget = null;
    flow.phase = 0;
    flow.node = undefined;
    return outcome;
  }

  /** Dispatches an event that is this library's own, in its context. One that a program dispatches runs in the program's. */
  tell(event: Event): DispatchOutcome {
    return this.context.runInAsyncScope(this.dispatch, this, event);
  }

  /** Makes and tells an event if anybody would hear it. */
  fire(type: string, make: () => Event, bubbles = false): DispatchOutcome {
    return this.isHeard(type, bubbles) ? this.tell(make()) : NOT_CALLED;
  }

  /** The place of an event handler attribute among the listeners; -1 where it is not set. */
  #handlerAt(type: string): number {
    const listeners = this.#listeners;
    if (listeners === undefined) return -1;
    for (let at = 0; at < listeners.length; at += 1) {
      const each = listeners[at] as Listener; // within its length
      if (each.handler && each.type === type) return at;
    }
    return -1;
  }

  /** Lets go of those whose signal has aborted. */
  #dropAborted(): void {
    if (!this.#listeners?.some(({ signal }) => signal?.aborted)) return;
    this.#listeners = this.#listeners.filter(({ signal }) => !signal?.aborted);
  }

  #hears(type: string, alsoBubbling: boolean): boolean {
    const listeners = this.#listeners;
    if (listeners === undefined) return false;
    for (let at = 0; at < listeners.length; at += 1) {
      const each = listeners[at] as Listener; // within its length
      if (each.type === type && (alsoBubbling || each.capture) && !each.signal?.aborted) return true;
    }
    return false;
  }

  /** Calls the listeners of one phase. */
  private invoke(event: Event, flow: Flow, phase: number, outcome: { called: boolean; threw: boolean }): void {
    if (this.#listeners === undefined || this.#listeners.length === 0) return;
    flow.phase = phase;
    flow.currentTarget = this.target;
    // Listeners that are added meanwhile are not called; those that are removed say so themselves.
    const listeners = this.#listeners.slice();
    if (phase !== AT_TARGET) {
      this.#call(listeners, event, flow, phase === CAPTURING_PHASE, outcome);
      return;
    }
    this.#call(listeners, event, flow, true, outcome);
    this.#call(listeners, event, flow, false, outcome);
  }

  #call(
    listeners: Listener[],
    event: Event,
    flow: Flow,
    capture: boolean,
    outcome: { called: boolean; threw: boolean },
  ): void {
    if (event.cancelBubble) return;
    for (const listener of listeners) {
      if (listener.removed || listener.signal?.aborted || listener.capture !== capture || listener.type !== event.type)
        continue;
      const { callback } = listener;
      if (callback === null) continue;
      if (listener.once) this.removeListener(listener.type, callback, capture);
      outcome.called = true;
      try {
        if (typeof callback === "function") {
          const answer = callback.call(this.target, event);
          if (listener.handler && answer === false) event.preventDefault();
        } else if (!listener.handler) {
          callback.handleEvent(event);
        }
      } catch (error) {
        outcome.threw = true;
        reportException(error);
      }
      if (flow.stopped) return;
    }
  }
}

/** The options of `addEventListener` that matter here. */
export interface ListenerOptions {
  readonly capture: boolean;
  readonly once: boolean;
  readonly signal: AbortSignal | undefined;
}
