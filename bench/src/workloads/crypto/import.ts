import { readFile } from "node:fs/promises";
import { expectEqual } from "../workload.ts";
import type { CryptoWorkload } from "./scene.ts";

/** A key export, imported in one call. */
export const importKeys: CryptoWorkload = async ({ machine }, { sizes, exportedKeysFile }) => {
  const exported = await readFile(exportedKeysFile, "utf8");
  const before = (await machine.roomKeyCounts()).total;
  let imported = 0;
  return {
    calls: 1,
    async run() {
      imported = (await machine.importExportedRoomKeys(exported, () => {})).importedCount;
    },
    async check() {
      expectEqual("room keys imported", imported, sizes.importedKeys);
      const { total } = await machine.roomKeyCounts();
      expectEqual("room keys that came into the store", total - before, sizes.importedKeys);
    },
  };
};
