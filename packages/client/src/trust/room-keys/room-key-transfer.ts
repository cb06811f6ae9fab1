import { isKeyStoreError, type Logger, silentLogger } from "@holdfast/key-store-core";
import * as v from "valibot";
import type { Encryption, RoomKey } from "../../crypto/encryption.ts";
import { MatrixClientError } from "../../errors.ts";
import { batchesOf, ImportCount, type ImportProgress, type OnImportProgress } from "./import-progress.ts";
import { importedNames } from "./imported-names.ts";
import { openRoomKeyFile, sealRoomKeyFile } from "./room-key-file.ts";

const ROUNDS = 500_000;
const MIN_ROUNDS = 100_000;

/** As much of an exported room key as has to be there for the engine to look at it. */
const ExportedKey = v.looseObject({ room_id: v.string(), session_id: v.string(), session_key: v.string() });
type ExportedKey = v.InferOutput<typeof ExportedKey>;

/** How room keys are exported. */
export interface ExportOptions {
  /** Only keys of these rooms. Default: all. */
  readonly rooms?: readonly string[] | undefined;
  /** Rounds of key derivation, at least 100,000. Default: 500,000. */
  readonly rounds?: number | undefined;
}

/** How room keys are imported. */
export interface ImportOptions {
  readonly onProgress?: OnImportProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Room keys under a passphrase, as the file that Matrix clients exchange (Matrix
 * specification, "Key exports"). For programs that have no `MatrixClient`:
 * `keys` is what `machine.exportRoomKeys(() => true)` answers, or
 * matrix-js-sdk's `exportRoomKeysAsJson()`.
 *
 * @throws `MatrixClientError` `CONFIG` for an empty passphrase or too few rounds
 */
export async function sealRoomKeys(
  keys: string,
  passphrase: string,
  options: Pick<ExportOptions, "rounds"> = {},
): Promise<string> {
  return sealRoomKeyFile(keys, passphrase, roundsFor(passphrase, options));
}

/** What the transfer of room keys works on. */
export interface RoomKeyTransferOptions {
  readonly encryption: Encryption;
  /** Default: says nothing. */
  readonly logger?: Logger | undefined;
  /** Called inside the `run` that brings room keys in, with those that are new or better than what was there. */
  readonly onImported?: ((keys: readonly RoomKey[]) => void) | undefined;
}

/** Room keys to and from the files that Matrix clients exchange (Matrix specification, "Key exports"). */
export class RoomKeyTransfer {
  readonly #encryption: Encryption;
  readonly #logger: Logger;
  readonly #onImported: (keys: readonly RoomKey[]) => void;

  constructor(options: RoomKeyTransferOptions) {
    this.#encryption = options.encryption;
    this.#logger = options.logger ?? silentLogger;
    this.#onImported = options.onImported ?? (() => {});
  }

  /**
   * All room keys of this device as a file under a passphrase. The keys are in
   * memory as a whole while it is made.
   *
   * @throws `MatrixClientError` `CONFIG` for an empty passphrase or too few rounds; what `Encryption.run` throws
   */
  async export(passphrase: string, options: ExportOptions = {}): Promise<string> {
    const rounds = roundsFor(passphrase, options);
    const rooms = options.rooms && new Set(options.rooms);
    const keys = await this.#encryption.run((machine) =>
      machine.exportRoomKeys((session) => rooms === undefined || rooms.has(session.roomId.toString())),
    );
    return sealRoomKeyFile(keys, passphrase, rounds);
  }

  /**
   * Brings the room keys of a file in, in batches of one commit each. A key
   * that this device has as good or better stays; one that cannot be read is
   * counted and left out.
   *
   * @throws `MatrixClientError` `WRONG_SECRET` where the passphrase does not open the file; `MALFORMED`
   * for what is no such file; the signal's reason; what `Encryption.run` throws
   */
  async import(file: string, passphrase: string, options: ImportOptions = {}): Promise<ImportProgress> {
    const entries = entriesOf(await openRoomKeyFile(file, passphrase));
    const count = new ImportCount(entries.length, options.onProgress);
    for (const batch of batchesOf(entries)) {
      options.signal?.throwIfAborted();
      const keys = batch.filter((entry): entry is ExportedKey => v.is(ExportedKey, entry));
      const { imported, failed } = await this.#importBatch(keys);
      count.add({ done: batch.length, imported, failed: failed + batch.length - keys.length });
    }
    return count.progress;
  }

  async #importBatch(keys: readonly ExportedKey[]): Promise<Imported> {
    if (keys.length === 0) return { imported: 0, failed: 0 };
    const { firsts, copies } = apart(keys);
    if (copies.length > 0) return sum(await this.#importBatch(firsts), await this.#importBatch(copies));
    try {
      const imported = await this.#encryption.run(async (machine) => {
        const result = await machine.importExportedRoomKeys(JSON.stringify(keys), () => {});
        this.#onImported(importedNames(result));
        return result.importedCount;
      });
      return { imported, failed: 0 };
    } catch (error) {
      if (isKeyStoreError(error)) throw error;
      if (keys.length === 1) {
        this.#logger.warn(`An exported room key is malformed and was left out: ${JSON.stringify(keys[0]?.session_id)}`);
        return { imported: 0, failed: 1 };
      }
      // One that the engine cannot parse refuses the whole list: the halves tell which it is.
      const middle = keys.length >> 1;
      return sum(await this.#importBatch(keys.slice(0, middle)), await this.#importBatch(keys.slice(middle)));
    }
  }
}

/** What became of some keys. */
interface Imported {
  readonly imported: number;
  readonly failed: number;
}

function sum(one: Imported, other: Imported): Imported {
  return { imported: one.imported + other.imported, failed: one.failed + other.failed };
}

/**
 * Parts keys from copies of them: the engine compares a key with what is
 * stored, and of two in one call keeps the last, which may reach less far back.
 */
function apart(keys: readonly ExportedKey[]): { readonly firsts: ExportedKey[]; readonly copies: ExportedKey[] } {
  const names = new Set<string>();
  const [firsts, copies]: [ExportedKey[], ExportedKey[]] = [[], []];
  for (const key of keys) {
    const name = JSON.stringify([key.room_id, key.session_id]);
    (names.has(name) ? copies : firsts).push(key);
    names.add(name);
  }
  return { firsts, copies };
}

/** How many rounds a file gets; `CONFIG` for what would not protect it. */
function roundsFor(passphrase: string, { rounds = ROUNDS }: Pick<ExportOptions, "rounds">): number {
  if (passphrase === "") throw new MatrixClientError("CONFIG", "the passphrase for exported room keys is empty");
  if (!Number.isSafeInteger(rounds) || rounds < MIN_ROUNDS) {
    throw new MatrixClientError("CONFIG", `exported room keys need at least ${MIN_ROUNDS} rounds of key derivation`);
  }
  return rounds;
}

function entriesOf(text: string): readonly unknown[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    // Without the cause: a parser's message quotes what it read.
    throw new MatrixClientError("MALFORMED", "the file opens, but what is in it is not JSON");
  }
  if (!Array.isArray(entries))
    throw new MatrixClientError("MALFORMED", "the file opens, but holds no list of room keys");
  return entries;
}
