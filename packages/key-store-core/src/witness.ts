import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HighWaterMark } from "./driver.ts";
import { KeyStoreError, messageOf } from "./errors.ts";
import type { DeviceRef } from "./key-store.ts";
import { config } from "./validate.ts";

/**
 * A place outside the database that remembers what the database has
 * acknowledged: what an older copy of the database, put back while no process
 * ran, cannot take back. It is asked at each opening of a device, and told of
 * openings and closings, and of commits once a second at the most. Both
 * methods have the time of an operation: where `recall` fails the opening does,
 * where `remember` fails a warning is logged.
 */
export interface RollbackWitness {
  /** The latest that is remembered of a device of a store; `undefined` where nothing is. */
  recall(storeId: string, device: DeviceRef): Promise<HighWaterMark | undefined>;
  /** Remembers it, in place of what was before; `undefined` forgets the device. */
  remember(storeId: string, device: DeviceRef, mark: HighWaterMark | undefined): Promise<void>;
}

/**
 * A witness in a directory of the local disk, which is made where it is
 * missing: one small file for each device, replaced as a whole. It must not
 * lie where a backup of the database is restored with it.
 *
 * @throws `ERR_KEY_STORE_CONFIG` without a directory; from its methods, where a file is not what this wrote, or cannot be reached
 */
export function fileWitness(directory: string): RollbackWitness {
  if (typeof directory !== "string" || directory === "") config("witness", "fileWitness(directory)");
  const fileOf = (storeId: string, { userId, deviceId }: DeviceRef): string => {
    const name = createHash("sha256").update([storeId, userId, deviceId].join("\0")).digest("hex");
    return join(directory, `${name}.json`);
  };
  return Object.freeze({
    async recall(storeId: string, device: DeviceRef) {
      const path = fileOf(storeId, device);
      try {
        return markOf(await readFile(path, "utf8"));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw new KeyStoreError("ERR_KEY_STORE_CONFIG", `the witness ${path} cannot be read: ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
    async remember(storeId: string, device: DeviceRef, mark: HighWaterMark | undefined) {
      const path = fileOf(storeId, device);
      if (mark === undefined) return rm(path, { force: true });
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const draft = `${path}.${randomUUID()}`;
      try {
        const text = JSON.stringify({ epoch: String(mark.epoch), revision: String(mark.revision) });
        await writeFile(draft, text, { flag: "wx", mode: 0o600, flush: true });
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
  });
}

function markOf(text: string): HighWaterMark {
  const [, epoch, revision] = /^\{"epoch":"(\d{1,19})","revision":"(\d{1,19})"\}$/.exec(text) ?? [];
  if (epoch === undefined || revision === undefined) throw new Error("it does not hold an epoch and a revision");
  return { epoch: BigInt(epoch), revision: BigInt(revision) };
}
