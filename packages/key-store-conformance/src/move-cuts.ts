import assert from "node:assert/strict";
import { type DeviceRef, isKeyStoreError, type KeyStore } from "@holdfast/key-store-core";
import { moveDevice } from "@holdfast/key-store-move";
import { type FaultyDriver, fatal, type Hook } from "./faulty-driver.ts";
import { assertWhole, fill, SMALL } from "./move-content.ts";
import { DEVICE, type Define } from "./scene.ts";

/** Every hook that a move calls, at either end. */
const HOOKS = [
  "acquire",
  "getMany",
  "list",
  "count",
  "commit",
  "mark",
  "collections",
  "settle",
  "state",
  "release",
] as const satisfies Hook[];

/**
 * The end of a process at its n-th call of a driver, counted over all of them:
 * nothing that it asks for afterwards arrives anywhere.
 */
class Death {
  readonly #at: number;
  readonly #how: "before" | "after";
  #calls = 0;

  constructor(at: number, how: "before" | "after") {
    this.#at = at;
    this.#how = how;
  }

  get calls(): number {
    return this.#calls;
  }

  watch(driver: FaultyDriver): void {
    for (const hook of HOOKS) driver.always(hook, (attempt) => this.#call(attempt));
  }

  async #call<T>(attempt: () => Promise<T>): Promise<T> {
    this.#calls += 1;
    if (this.#calls < this.#at) return attempt();
    if (this.#calls === this.#at && this.#how === "after") await attempt();
    return fatal()();
  }
}

/** Whether a store opens the device; fails where it refuses it for any other reason than the move. */
async function opens(store: KeyStore, device: DeviceRef): Promise<boolean> {
  try {
    const opened = await store.openDevice(device, { create: "never", lease: "take-over" });
    await opened?.close();
    return opened !== null;
  } catch (error) {
    if (isKeyStoreError(error, "ERR_KEY_STORE_MOVING") || isKeyStoreError(error, "ERR_KEY_STORE_MOVED")) return false;
    if (isKeyStoreError(error, "ERR_KEY_STORE_DEVICE_NOT_FOUND")) return false;
    throw error;
  }
}

export function moveCutTests(define: Define): void {
  for (const how of ["before", "after"] as const) {
    define(
      `a move whose process ends ${how} any call of a driver leaves one device that opens at the most, and is finished by the next`,
      async (scene) => {
        const [from, to] = [await scene.store(), await scene.otherStore()];
        for (let at = 1; ; at += 1) {
          const device = { ...DEVICE, deviceId: `CUT${at}` };
          await fill(from, SMALL, device);
          const death = new Death(at, how);
          const ends = [await scene.faultyStore(), await scene.faultyOtherStore()] as const;
          for (const { driver } of ends) death.watch(driver);
          const [source, target] = ends;
          const outcome = await moveDevice({ from: source.store, to: target.store, device }).then(
            (result) => result.outcome,
            () => "died" as const,
          );
          for (const { driver, store } of ends) {
            driver.heal();
            await store.close();
          }
          const [atSource, atTarget] = [await opens(from, device), await opens(to, device)];
          assert.ok(!(atSource && atTarget), `call ${at}: both stores open the device`);
          if (atSource) await assertWhole(from, SMALL, device);
          if (atTarget) await assertWhole(to, SMALL, device);
          const next = await moveDevice({ from, to, device, lease: "take-over" });
          assert.ok(next.outcome === "moved" || next.outcome === "already-moved", `call ${at}: ${next.outcome}`);
          await assertWhole(to, SMALL, device);
          assert.equal(await opens(from, device), false, `call ${at}: the source opens after the move`);
          // Past the last call nobody died.
          if (death.calls < at) {
            assert.equal(outcome, "moved");
            assert.ok(at > 15, `a move calls its drivers ${death.calls} times`);
            break;
          }
        }
      },
      { timeoutMs: 180_000 },
    );
  }
}
