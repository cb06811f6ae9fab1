import { afterEach, describe, expect, it, vi } from "vitest";
import { within } from "../src/timing.ts";

afterEach(() => {
  vi.useRealTimers();
});

const never = () => new Promise<never>(() => {});
const late = { code: "ERR_KEY_STORE_UNAVAILABLE", message: "a read had no answer within 10 ms" };

describe("a time limit", () => {
  it("lets through what comes in time, as it comes", async () => {
    expect(await within(1_000, "a read", Promise.resolve(1))).toBe(1);
    await expect(within(1_000, "a read", Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  it("holds for each of many that wait at once", async () => {
    const longer = { message: "a scan had no answer within 60 ms" };
    await Promise.all([
      expect(within(60, "a scan", never())).rejects.toMatchObject(longer),
      expect(within(10, "a read", never())).rejects.toMatchObject(late),
    ]);
  });

  it("holds while a program has put its own timers in the place of Node's, and after it took them out", async () => {
    vi.useFakeTimers();
    await expect(within(10, "a read", never())).rejects.toMatchObject(late);
    vi.useRealTimers();
    await expect(within(10, "a read", never())).rejects.toMatchObject(late);
  });
});
