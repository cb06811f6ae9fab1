import { EncryptionSettings, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { describe, expect, it } from "vitest";
import { encryptText } from "./cut/events.ts";
import { type Ciphertext, reused } from "./cut/megolm.ts";
import { memoryPlace } from "./cut/place.ts";
import { receiveRoomKeys } from "./cut/scenarios/index.ts";
import { restore, takeSnapshot } from "./cut/snapshot.ts";
import { useHouse } from "./cut/suite.ts";
import { sweep } from "./cut/sweep.ts";
import { withoutBatches } from "./cut/without-batches.ts";

/** A sweep opens a device a few hundred times. */
const TIMEOUT_MS = 120_000;

describe("the control: the same experiment on a store that breaks the laws", () => {
  const house = useHouse(memoryPlace);

  it(
    "finds, without batches, room keys that are lost for good, and calls that say nothing of it",
    async () => {
      const { place, stage } = house();
      const options = { wrap: withoutBatches, andBack: true };
      const { undisturbed, trials } = await sweep(place, await stage(), receiveRoomKeys, options);
      const { operations } = undisturbed;
      expect(operations.filter((operation) => operation === "commit").length).toBeGreaterThan(1);
      expect(trials.filter(({ isCut }) => !isCut)).toEqual([]);

      const lossy = trials.filter(({ outcome }) => JSON.stringify(outcome).includes("MissingRoomKey"));
      const gone = lossy.filter(({ point }) => point.afterwards === "gone");
      const silent = lossy.filter(({ failure }) => failure === undefined);
      expect(gone.length).toBeGreaterThan(0);
      expect(silent.length).toBeGreaterThan(0);
      // Where the process ends with the cut, what is lost is what an earlier transaction had spent.
      for (const { point } of gone) expect(operations.slice(0, point.after + 1)).toContain("commit");
    },
    TIMEOUT_MS,
  );

  it("sees that a device which was put back to an older state uses a Megolm index twice", async () => {
    const stage = await house().stage();
    const { device, keyStore } = stage;
    const room = "!control:localhost";
    await stage.withUs((_, { machine }) =>
      machine.shareRoomKey(new RoomId(room), [new UserId(device.userId)], new EncryptionSettings()),
    );
    const snapshot = await takeSnapshot(keyStore, device);
    const sent: Ciphertext[] = [];
    for (const body of ["one", "two"]) {
      await restore(keyStore, device, snapshot);
      sent.push({ body, content: await stage.withUs((_, { machine }) => encryptText(machine, room, body)) });
    }
    expect(reused(sent)).toEqual([{ sessionId: expect.any(String), index: 0 }]);
  });
});
