import { readFile } from "node:fs/promises";
import { expectEqual, type Workload } from "./workload.ts";

/** A key export, imported in one call. */
export const importKeys: Workload = async (subject, { sizes, exportedKeysFile }) => {
  const { machine, close } = await subject.open();
  const exported = await readFile(exportedKeysFile, "utf8");
  let imported = 0;
  return {
    calls: 1,
    async run() {
      const result = await machine.importExportedRoomKeys(exported, () => {});
      imported = result.importedCount;
    },
    async finish() {
      expectEqual("room keys imported", imported, sizes.importedKeys);
      const counts = await machine.roomKeyCounts();
      expectEqual("room keys in the store", counts.total, sizes.importedKeys);
      await close();
    },
  };
};
