import { Mutex } from "async-mutex";
import { abortable } from "./abortable.ts";

/** A lock for each name, for as long as somebody wants it; those who wait get it in the order they came. */
export class Locks {
  readonly #locks = new Map<string, { readonly mutex: Mutex; users: number }>();

  /**
   * Runs work while nobody else has the name's lock.
   *
   * @throws what `work` throws; the signal's reason, where it aborts before it is this work's turn
   */
  async run<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const lock = this.#locks.get(name) ?? { mutex: new Mutex(), users: 0 };
    this.#locks.set(name, lock);
    lock.users += 1;
    try {
      return await alone(lock.mutex, work, signal);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) this.#locks.delete(name);
    }
  }
}

/** Runs work while it has the mutex, as {@link Locks.run} does. */
export async function alone<T>(mutex: Mutex, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const turn = mutex.acquire();
  try {
    await abortable(turn, signal);
  } catch (error) {
    // The turn comes all the same: it is passed on.
    void turn.then((release) => release());
    throw error;
  }
  const release = await turn;
  try {
    return await work();
  } finally {
    release();
  }
}
