import type { EventCallback, EventNode, ListenerOptions } from "./event-node.ts";

/** What stands on the prototype of each of our event targets, over what it inherits. */
interface EventTargetMembers {
  addEventListener(type: string, callback: EventCallback | null, options?: unknown): void;
  removeEventListener(type: string, callback: EventCallback | null, options?: unknown): void;
  dispatchEvent(event: Event): boolean;
}

/**
 * Makes a class inherit from `EventTarget`, and keep its listeners in its
 * {@link EventNode} instead: `EventTarget`'s constructor, which prepares for
 * them, need not run for each request. `nodeOf` throws for an object of another
 * class.
 */
export function defineEventTarget(
  target: { readonly prototype: EventTarget },
  nodeOf: (object: never) => EventNode,
): void {
  Object.setPrototypeOf(target, EventTarget);
  Object.setPrototypeOf(target.prototype, EventTarget.prototype);
  const node = nodeOf as (object: unknown) => EventNode;
  const members: EventTargetMembers = {
    addEventListener(type, callback, options) {
      if (arguments.length < 2) throw new TypeError("addEventListener requires a type and a callback");
      node(this).addListener(`${type}`, toCallback(callback), toListenerOptions(options));
    },
    removeEventListener(type, callback, options) {
      if (arguments.length < 2) throw new TypeError("removeEventListener requires a type and a callback");
      node(this).removeListener(`${type}`, toCallback(callback), toCapture(options));
    },
    dispatchEvent(event) {
      if (!(event instanceof Event)) throw new TypeError("dispatchEvent requires an Event");
      if (event.eventPhase !== 0) {
        throw new DOMException("the event is already being dispatched", "InvalidStateError");
      }
      node(this).dispatch(event);
      return !event.defaultPrevented;
    },
  };
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(target.prototype, name, { value, configurable: true, writable: true });
  }
}

/** Defines event handler attributes, such as `onsuccess`. */
export function defineEventHandlers(
  target: { readonly prototype: EventTarget },
  nodeOf: (object: never) => EventNode,
  types: readonly string[],
): void {
  const node = nodeOf as (object: unknown) => EventNode;
  for (const type of types) {
    const name = `on${type}`;
    // Written as an accessor of an object literal, so that the functions have the names that Web IDL gives them.
    const accessor = {
      get [name](): unknown {
        return node(this).getHandler(type);
      },
      set [name](value: unknown) {
        node(this).setHandler(type, value);
      },
    };
    const descriptor = Object.getOwnPropertyDescriptor(accessor, name) as PropertyDescriptor;
    Object.defineProperty(target.prototype, name, { ...descriptor, enumerable: true, configurable: true });
  }
}

function toCallback(callback: unknown): EventCallback | null {
  if (callback === null || callback === undefined) return null;
  if (typeof callback !== "function" && typeof callback !== "object") {
    throw new TypeError("an event listener is a function or an object");
  }
  return callback as EventCallback;
}

function toCapture(options: unknown): boolean {
  if (typeof options !== "object" || options === null) return Boolean(options);
  return Boolean((options as { capture?: unknown }).capture);
}

function toListenerOptions(options: unknown): ListenerOptions {
  if (typeof options !== "object" || options === null) {
    return { capture: Boolean(options), once: false, signal: undefined };
  }
  const { capture, once, signal } = options as { capture?: unknown; once?: unknown; signal?: unknown };
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError("signal must be an AbortSignal");
  return { capture: Boolean(capture), once: Boolean(once), signal };
}
