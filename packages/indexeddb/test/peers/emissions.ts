import type { Observable } from "dexie";
import { onTestFinished } from "vitest";

/** What a live query has told, and the way to wait for what it tells next. */
export interface Emissions<T> {
  readonly emissions: readonly T[];
  /** The first emission that no earlier call has answered with. */
  next(): Promise<T>;
}

/** Subscribes to what `liveQuery()` of Dexie made, until the running test is over. */
export function emissionsOf<T>(observable: Observable<T>): Emissions<T> {
  const emissions: T[] = [];
  let wake = Promise.withResolvers<void>();
  let asked = 0;
  const subscription = observable.subscribe({
    next: (value) => {
      emissions.push(value);
      wake.resolve();
      wake = Promise.withResolvers();
    },
    error: (error) => wake.reject(error),
  });
  onTestFinished(() => subscription.unsubscribe());
  return {
    emissions,
    async next() {
      const wanted = asked;
      asked += 1;
      while (emissions.length <= wanted) await wake.promise;
      return emissions[wanted] as T;
    },
  };
}
