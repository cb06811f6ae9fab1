import { UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { expectEqual } from "../workload.ts";
import type { CryptoWorkload } from "./scene.ts";

/** How many users are added to the device in one call, beforehand. */
const USERS_PER_CALL = 1_000;

/** A device that tracks many users, opened until it knows them all. */
export const open: CryptoWorkload = async (scene, { sizes }) => {
  const before = (await scene.machine.trackedUsers()).size;
  for (let index = 0; index < sizes.trackedUsers; index += USERS_PER_CALL) {
    const length = Math.min(USERS_PER_CALL, sizes.trackedUsers - index);
    const users = Array.from({ length }, (_, nth) => new UserId(`@user-${index + nth}:localhost`));
    await scene.machine.updateTrackedUsers(users);
  }
  await scene.close();
  let tracked = 0;
  return {
    calls: 2,
    async run() {
      await scene.open();
      tracked = (await scene.machine.trackedUsers()).size;
    },
    async check() {
      expectEqual("tracked users", tracked, before + sizes.trackedUsers);
    },
  };
};
