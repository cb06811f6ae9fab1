/**
 * Events one after the other, for `for await`: an event counts as done when the
 * next one is asked for, so that one whose loop was left in the middle of it is
 * delivered again.
 */
export class EventStream<T> implements AsyncIterableIterator<T> {
  readonly #waiting: { readonly event: T; readonly done: PromiseWithResolvers<void> }[] = [];
  readonly #onEnd: () => void;
  #current: PromiseWithResolvers<void> | undefined;
  #wanted: PromiseWithResolvers<void> | undefined;
  #ended = false;

  /** `onEnd` is called once, when nobody asks any more. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** A handler that is done with an event when the next one is asked for. */
  readonly handler = (event: T): Promise<void> => {
    const done = Promise.withResolvers<void>();
    if (this.#ended) done.reject(new Error("the loop over these events has ended"));
    else this.#waiting.push({ event, done });
    this.#wanted?.resolve();
    return done.promise;
  };

  async next(): Promise<IteratorResult<T, undefined>> {
    this.#current?.resolve();
    this.#current = undefined;
    while (!this.#ended) {
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

  /** Ends the stream: what was not done stays in the inbox. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.end();
    return { done: true, value: undefined };
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const undone = new Error("the loop over these events has ended");
    this.#current?.reject(undone);
    for (const { done } of this.#waiting.splice(0)) done.reject(undone);
    this.#wanted?.resolve();
    this.#onEnd();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
