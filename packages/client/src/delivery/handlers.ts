/** A handler of an event: done when what it returns has resolved. */
export type Handler<T> = (event: T) => unknown;

/**
 * Handlers by the name of their event. Emitting waits for all of them and
 * rejects with the first failure, when all have ended.
 */
export class Handlers<Events extends object> {
  readonly #handlers = new Map<keyof Events, Set<Handler<never>>>();

  /** Adds a handler; answers with how to take it off. */
  on<Name extends keyof Events>(name: Name, handler: Handler<Events[Name]>): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers);
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  has(name: keyof Events): boolean {
    return (this.#handlers.get(name)?.size ?? 0) > 0;
  }

  /** @throws the first failure of a handler */
  async emit<Name extends keyof Events>(name: Name, event: Events[Name]): Promise<void> {
    const handlers = [...(this.#handlers.get(name) ?? [])] as unknown as Handler<Events[Name]>[];
    const outcomes = await Promise.allSettled(handlers.map(async (handler) => handler(event)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}
