import { Mutex } from "async-mutex";

/** A lock for each name, for as long as somebody wants it; those who wait get it in the order they came. */
export class Locks {
  readonly #locks = new Map<string, { readonly mutex: Mutex; users: number }>();

  /** Runs work while nobody else has the name's lock. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(name) ?? { mutex: new Mutex(), users: 0 };
    this.#locks.set(name, lock);
    lock.users += 1;
    try {
      return await lock.mutex.runExclusive(work);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) this.#locks.delete(name);
    }
  }
}
