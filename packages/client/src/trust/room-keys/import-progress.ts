/** How far an import of room keys is. */
export interface ImportProgress {
  /** How many keys were looked at. */
  readonly done: number;
  readonly total: number;
  /** How many of them are new, or better than what was there. */
  readonly imported: number;
  /** How many could not be read: malformed, or sealed with another key. */
  readonly failed: number;
}

/** Called after each batch; what it throws ends the import, and what was imported stays. */
export type OnImportProgress = (progress: ImportProgress) => void;

/** How many room keys one commit brings in: a commit holds up everything else, and its size is bounded. */
const IMPORT_BATCH = 200;

/** Counts an import, batch by batch. */
export class ImportCount {
  readonly #total: number;
  readonly #report: OnImportProgress | undefined;
  #done = 0;
  #imported = 0;
  #failed = 0;

  constructor(total: number, report: OnImportProgress | undefined) {
    this.#total = total;
    this.#report = report;
  }

  get progress(): ImportProgress {
    return { done: this.#done, total: this.#total, imported: this.#imported, failed: this.#failed };
  }

  add(batch: { readonly done: number; readonly imported: number; readonly failed: number }): void {
    this.#done += batch.done;
    this.#imported += batch.imported;
    this.#failed += batch.failed;
    this.#report?.(this.progress);
  }
}

/** Parts of a list, each of the size of one batch at most. */
export function* batchesOf<T>(items: readonly T[], size: number = IMPORT_BATCH): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
