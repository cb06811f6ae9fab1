/** Where an event is on its path. Node's events keep this to themselves, and know no path. */
export interface Flow {
  target: EventTarget | null;
  currentTarget: EventTarget | null;
  phase: number;
  /** Where the path begins, while it is being walked. */
  node: PathNode | undefined;
  /** Whether `stopImmediatePropagation()` was called. */
  stopped: boolean;
}

/** A place on the path of events. */
interface PathNode {
  readonly target: EventTarget;
  readonly eventParent: PathNode | undefined;
}

function pathOf(start: PathNode | undefined): EventTarget[] {
  const path: EventTarget[] = [];
  for (let node = start; node !== undefined; node = node.eventParent) path.push(node.target);
  return path;
}

type EventPhase = Event["eventPhase"];

let flowInside: (event: DispatchedEvent) => Flow;

function newFlow(): Flow {
  return { target: null, currentTarget: null, phase: 0, node: undefined, stopped: false };
}

/** An event that this library fires: an `Event` in all its looks, with a path of several targets. */
class DispatchedEvent extends Event {
  readonly #flow = newFlow();

  static {
    flowInside = (event) => event.#flow;
    // To programs it is an Event: its class is nobody's business.
    Object.defineProperty(DispatchedEvent.prototype, "constructor", { value: Event });
  }

  override get isTrusted(): boolean {
    return true;
  }
  override get target(): EventTarget | null {
    return this.#flow.target;
  }
  override get srcElement(): EventTarget | null {
    return this.#flow.target;
  }
  override get currentTarget(): EventTarget | null {
    return this.#flow.currentTarget;
  }
  override get eventPhase(): EventPhase {
    return this.#flow.phase as EventPhase;
  }
  // Node's types know paths of one target only.
  override composedPath(): [EventTarget?] {
    return pathOf(this.#flow.node) as [EventTarget?];
  }
  override stopImmediatePropagation(): void {
    super.stopImmediatePropagation();
    this.#flow.stopped = true;
  }
}

/** A `success`, `complete` or `close` event: does not bubble, cannot be cancelled. */
export function plainEvent(type: string): Event {
  return new DispatchedEvent(type);
}

/** An `error` event: bubbles, and can be cancelled. */
export function errorEvent(): Event {
  return new DispatchedEvent("error", { bubbles: true, cancelable: true });
}

/** An `abort` event: bubbles. */
export function abortEvent(): Event {
  return new DispatchedEvent("abort", { bubbles: true });
}

const foreign = new WeakMap<Event, Flow>();

/** The flow of any event. One that was made elsewhere is given properties that tell it. */
export function flowOf(event: Event): Flow {
  if (event instanceof DispatchedEvent) return flowInside(event);
  const known = foreign.get(event);
  if (known !== undefined) {
    known.stopped = false;
    return known;
  }
  const flow = newFlow();
  foreign.set(event, flow);
  const stop = event.stopImmediatePropagation;
  const getter = (get: () => unknown) => ({ get, configurable: true, enumerable: false });
  Object.defineProperties(event, {
    target: getter(() => flow.target),
    srcElement: getter(() => flow.target),
    currentTarget: getter(() => flow.currentTarget),
    eventPhase: getter(() => flow.phase),
    composedPath: { value: () => pathOf(flow.node), configurable: true, writable: true },
    stopImmediatePropagation: {
      value: () => {
        stop.call(event);
        flow.stopped = true;
      },
      configurable: true,
      writable: true,
    },
  });
  return flow;
}
