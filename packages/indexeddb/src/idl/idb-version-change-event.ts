import { requireArguments, toDictionary } from "./convert.ts";
import { defineInterface } from "./shape.ts";

/** The options of {@link IDBVersionChangeEvent}'s constructor. */
export interface IDBVersionChangeEventInit {
  readonly bubbles?: boolean;
  readonly cancelable?: boolean;
  readonly composed?: boolean;
  readonly oldVersion?: number;
  readonly newVersion?: number | null;
}

/** https://www.w3.org/TR/IndexedDB-3/#idbversionchangeevent */
export class IDBVersionChangeEvent extends Event {
  readonly #oldVersion: number;
  readonly #newVersion: number | null;

  constructor(type: string, init: IDBVersionChangeEventInit = {}) {
    requireArguments(arguments.length, 1, "IDBVersionChangeEvent");
    const { bubbles, cancelable, composed, newVersion, oldVersion } = toDictionary(init, "eventInitDict");
    super(type, { bubbles: Boolean(bubbles), cancelable: Boolean(cancelable), composed: Boolean(composed) });
    this.#newVersion = newVersion === undefined || newVersion === null ? null : toLongLong(newVersion);
    this.#oldVersion = oldVersion === undefined ? 0 : toLongLong(oldVersion);
  }

  get oldVersion(): number {
    return this.#oldVersion;
  }

  /** Null where the database is being deleted. */
  get newVersion(): number | null {
    return this.#newVersion;
  }
}

/** `unsigned long long` without `[EnforceRange]`: modulo 2^64. */
function toLongLong(value: unknown): number {
  const number = +(value as number);
  if (!Number.isFinite(number)) return 0;
  return Number(BigInt.asUintN(64, BigInt(Math.trunc(number))));
}

defineInterface(IDBVersionChangeEvent);
