/** So many objects are found by looking at one after the other: quicker than a map, which has to be made. */
const FEW = 8;

/** The objects that a structured clone has met, each with its clone. One is used again for value after value. */
export class MetObjects {
  readonly #objects: (object | undefined)[] = new Array(FEW).fill(undefined);
  readonly #clones: (object | undefined)[] = new Array(FEW).fill(undefined);
  #count = 0;
  /** Those beyond the first few; most values have none. */
  #others: Map<object, object> | undefined;

  /** The clone of an object; undefined where it was not met. */
  cloneOf(object: object): object | undefined {
    for (let at = 0; at < this.#count; at += 1) if (this.#objects[at] === object) return this.#clones[at];
    return this.#others?.get(object);
  }

  /** Keeps the clone of an object that was not met before. */
  remember(object: object, clone: object): void {
    if (this.#count === FEW) {
      this.#others ??= new Map();
      this.#others.set(object, clone);
      return;
    }
    this.#objects[this.#count] = object;
    this.#clones[this.#count] = clone;
    this.#count += 1;
  }

  /** Lets go of all of them. */
  forget(): void {
    for (let at = 0; at < this.#count; at += 1) {
      this.#objects[at] = undefined;
      this.#clones[at] = undefined;
    }
    this.#count = 0;
    this.#others = undefined;
  }
}
