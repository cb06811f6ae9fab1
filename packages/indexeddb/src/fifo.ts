/** Taken items are let go of once there are so many of them, and more than half are. */
const COMPACT_AT = 32;

/** A queue: first in, first out. It holds on to nothing that was taken, however long it is never empty. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The item at a place, counted from the first; undefined behind the last. */
  at(place: number): T | undefined {
    return this.#items[this.#head + place];
  }

  /** Takes the first item; undefined where there is none. */
  shift(): T | undefined {
    const item = this.#items[this.#head];
    this.drop(1);
    return item;
  }

  /** Takes the first items away. */
  drop(count: number): void {
    const end = Math.min(this.#head + count, this.#items.length);
    while (this.#head < end) {
      this.#items[this.#head] = undefined;
      this.#head += 1;
    }
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Takes all items. */
  takeAll(): T[] {
    const items = this.#items.slice(this.#head) as T[]; // only those before the head are let go of
    this.#items = [];
    this.#head = 0;
    return items;
  }
}
