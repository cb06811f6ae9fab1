/** A handler of an event: done when what it returns has resolved. */
export type Handler<T> = (event: T) => unknown;

/** What a handler rejects with that cannot take an event now, and is to be asked again when `until` resolves. */
export class Postponed extends Error {
  readonly until: Promise<unknown>;

  constructor(message: string, until: Promise<unknown>) {
    super(message);
    this.until = until;
  }
}

/** Handlers by the name of their event. */
export class Handlers<Events extends object> {
  readonly #handlers = new Map<keyof Events, Set<Handler<never>>>();
  readonly #otherwise = new Map<keyof Events, Handler<never>>();

  /** Adds a handler; answers with how to take it off. */
  on<Name extends keyof Events>(name: Name, handler: Handler<Events[Name]>): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers);
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  /** Sets whom an event goes to while it has no handler. */
  otherwise<Name extends keyof Events>(name: Name, handler: Handler<Events[Name]>): void {
    this.#otherwise.set(name, handler);
  }

  /** The calls of the handlers that there are now: each may be made more than once. */
  calls<Name extends keyof Events>(name: Name, event: Events[Name]): (() => Promise<unknown>)[] {
    const handlers = [...(this.#handlers.get(name) ?? [])];
    const otherwise = this.#otherwise.get(name);
    if (handlers.length === 0 && otherwise !== undefined) handlers.push(otherwise);
    return (handlers as unknown as Handler<Events[Name]>[]).map((handler) => async () => handler(event));
  }

  /** Calls all handlers. @throws the first failure of a handler, when all have ended */
  async emit<Name extends keyof Events>(name: Name, event: Events[Name]): Promise<void> {
    const outcomes = await Promise.allSettled(this.calls(name, event).map((call) => call()));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}
