import assert from "node:assert/strict";
import type { DeviceStore } from "@holdfast/key-store-core";
import { text, toHex } from "./bytes.ts";
import { assertPoisoned, rejection, rejectsWith } from "./expect.ts";
import { cutAfter, fatal } from "./faulty-driver.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

async function value(device: DeviceStore, key: string): Promise<string | undefined> {
  return toHex(await device.get(SESSIONS, text(key)));
}

export function batchFailureTests(define: Define): void {
  define("work that rejects still commits what it wrote, and its reason is passed on", async (scene) => {
    const device = await scene.device();
    const reason = new Error("the engine gave up");
    const caught = await rejection(() =>
      device.batch(async () => {
        await device.commit([put("a", "1")]);
        await device.commit([put("b", "2")]);
        throw reason;
      }),
    );
    assert.equal(caught, reason);
    assert.equal(device.revision, 1n);
    assert.equal(device.failed.aborted, false);
    await device.close();
    const again = await scene.device();
    assert.equal(await value(again, "a"), "31");
    assert.equal(await value(again, "b"), "32");
  });

  define("work that throws before it returns a promise rejects the batch", async (scene) => {
    const device = await scene.device();
    const reason = new Error("thrown, not rejected");
    const caught = await rejection(() =>
      device.batch(() => {
        throw reason;
      }),
    );
    assert.equal(caught, reason);
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n);
  });

  define("a store failure discards the whole batch and poisons", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    driver.always("commit", fatal());
    const error = await rejectsWith("ERR_KEY_STORE_DISK_FULL", () =>
      device.batch(async () => {
        await device.commit([put("a", "2")]);
        await device.commit([put("b", "2")]);
        return "the work itself resolves";
      }),
    );
    await assertPoisoned(device, error);
    driver.heal();
    await assertPoisoned(device, error);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 1n);
    assert.equal(await value(again, "a"), "31");
    assert.equal(await value(again, "b"), undefined);
  });

  define("where work and store both fail, the store's failure is told", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.always("commit", fatal());
    const error = await rejectsWith("ERR_KEY_STORE_DISK_FULL", () =>
      device.batch(async () => {
        await device.commit([put("a", "1")]);
        throw new Error("the work failed too");
      }),
    );
    await assertPoisoned(device, error);
  });

  define("a read that fails inside a batch discards the batch, though its work swallowed the error", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    const error = await rejectsWith("ERR_KEY_STORE_CORRUPT", () =>
      device.batch(async () => {
        await device.commit([put("a", "1")]);
        driver.always("getMany", fatal("ERR_KEY_STORE_CORRUPT"));
        await rejection(() => device.get(SESSIONS, text("b")));
        driver.heal();
        return "as if nothing had happened";
      }),
    );
    await assertPoisoned(device, error);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 0n);
    assert.equal(await again.count(SESSIONS), 0);
  });

  define("a batch ends with the store's failure, though its work never settles", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.always("getMany", fatal("ERR_KEY_STORE_CORRUPT"));
    const error = await rejectsWith("ERR_KEY_STORE_CORRUPT", () =>
      device.batch(async () => {
        await device.commit([put("a", "1")]);
        await rejection(() => device.get(SESSIONS, text("b")));
        await new Promise(() => {});
      }),
    );
    await assertPoisoned(device, error);
    await device.close();
    assert.equal((await scene.device()).revision, 0n);
  });

  define("a batch whose answer is lost is durable exactly once", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.next("commit", cutAfter);
    await device.batch(async () => {
      await device.commit([put("a", "1")]);
      await device.commit([put("b", "2")]);
    });
    assert.equal(device.revision, 1n);
    assert.equal(driver.calls("commit"), 1);
    assert.equal(await value(device, "b"), "32");
  });

  define("a batch that fails by its work lets the next one run", async (scene) => {
    const device = await scene.device();
    const failing = device.batch(async () => {
      throw new Error("first");
    });
    const next = device.batch(async () => device.commit([put("a", "1")]));
    await assert.rejects(failing, { message: "first" });
    await next;
    assert.equal(device.revision, 1n);
  });

  define("a batch on a device that was taken over keeps nothing", async (scene) => {
    const device = await scene.device();
    const rival = await scene.store();
    const error = await rejectsWith("ERR_KEY_STORE_FENCED", () =>
      device.batch(async () => {
        await device.commit([put("a", "1")]);
        await open(rival, DEVICE, { lease: "take-over" });
        await device.commit([put("b", "2")]);
      }),
    );
    await assertPoisoned(device, error);
    const [summary] = await rival.listDevices();
    assert.equal(summary?.revision, 0n);
    assert.equal(summary?.records, 0);
  });

  define("an engine error in a batch's commit is passed on with its code", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.next("commit", fatal("ERR_KEY_STORE_CORRUPT"));
    const error = await rejectsWith("ERR_KEY_STORE_CORRUPT", () => device.batch(() => device.commit([put("a", "1")])));
    assert.equal(driver.calls("commit"), 1, "it is not tried again");
    await assertPoisoned(device, error);
  });
}
