import { type Handler, Postponed } from "./handlers.ts";

/** Streams of the same events: what one that has ended leaves undone is for the next one that is opened. */
export class EventStreams<T> {
  #next = Promise.withResolvers<EventStream<T>>();
  #latest: EventStream<T> | undefined;

  /** A handler that waits for the next stream, where the latest one has ended. */
  readonly handler = (event: T): unknown => this.#latest?.handler(event);

  /** `register` adds a stream's handler, and answers with how to take it off. The stream ends when `until` aborts. */
  open(register: (handler: Handler<T>) => () => void, until: AbortSignal): EventStream<T> {
    const stream: EventStream<T> = new EventStream(() => {
      off();
      until.removeEventListener("abort", end);
      return this.#next.promise;
    });
    const end = (): void => stream.end();
    const off = register(stream.handler);
    this.#latest = stream;
    this.#next.resolve(stream);
    this.#next = Promise.withResolvers();
    if (until.aborted) end();
    else until.addEventListener("abort", end, { once: true });
    return stream;
  }
}

/**
 * Events one after the other, for `for await`: an event counts as done when the
 * next one is asked for, so that one whose loop was left in the middle of it is
 * delivered again.
 */
export class EventStream<T> implements AsyncIterableIterator<T> {
  readonly #waiting: { readonly event: T; readonly done: PromiseWithResolvers<void> }[] = [];
  readonly #onEnd: () => Promise<EventStream<T>>;
  #current: PromiseWithResolvers<void> | undefined;
  #wanted: PromiseWithResolvers<void> | undefined;
  #ended: Promise<unknown> | undefined;
  #heir: EventStream<T> | undefined;

  /** `onEnd` is called once, when nobody asks any more, and answers with the stream that takes over what is not done. */
  constructor(onEnd: () => Promise<EventStream<T>>) {
    this.#onEnd = onEnd;
  }

  /** A handler that is done with an event when the next one is asked for; `Postponed` when the stream has ended. */
  readonly handler = (event: T): Promise<void> => {
    if (this.#heir !== undefined) return this.#heir.handler(event);
    const done = Promise.withResolvers<void>();
    if (this.#ended !== undefined) done.reject(postponed(this.#ended));
    else this.#waiting.push({ event, done });
    this.#wanted?.resolve();
    return done.promise;
  };

  async next(): Promise<IteratorResult<T, undefined>> {
    this.#current?.resolve();
    this.#current = undefined;
    while (this.#ended === undefined) {
      const first = this.#waiting.shift();
      if (first !== undefined) {
        this.#current = first.done;
        return { done: false, value: first.event };
      }
      this.#wanted = Promise.withResolvers();
      await this.#wanted.promise;
    }
    return { done: true, value: undefined };
  }

  /** Ends the stream: what was not done is for the next one, or stays in the inbox. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.end();
    return { done: true, value: undefined };
  }

  end(): void {
    if (this.#ended !== undefined) return;
    this.#ended = this.#onEnd().then((heir) => {
      this.#heir = heir;
    });
    this.#current?.reject(postponed(this.#ended));
    for (const { done } of this.#waiting.splice(0)) done.reject(postponed(this.#ended));
    this.#wanted?.resolve();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function postponed(until: Promise<unknown>): Postponed {
  return new Postponed("the loop over these events has ended", until);
}
