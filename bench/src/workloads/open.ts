import { UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OpenEngine } from "../engines/subject.ts";
import { expectEqual, type Workload } from "./workload.ts";

/** How many users are added to a device in one call, before it is measured. */
const USERS_PER_CALL = 1_000;

/** A device that tracks many users, opened until it knows them all. */
export const open: Workload = async (subject, { sizes }) => {
  const first = await subject.open();
  for (let index = 0; index < sizes.trackedUsers; index += USERS_PER_CALL) {
    const length = Math.min(USERS_PER_CALL, sizes.trackedUsers - index);
    const users = Array.from({ length }, (_, nth) => new UserId(`@user-${index + nth}:localhost`));
    await first.machine.updateTrackedUsers(users);
  }
  await first.close();
  let again: OpenEngine | undefined;
  let tracked = 0;
  return {
    calls: 2,
    async run() {
      again = await subject.open();
      tracked = (await again.machine.trackedUsers()).size;
    },
    async finish() {
      expectEqual("tracked users", tracked, sizes.trackedUsers);
      await again?.close();
    },
  };
};
