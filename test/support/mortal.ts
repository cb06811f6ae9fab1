import type { DeviceDriver, KeyStoreDriver } from "../../packages/key-store-core/src/index.ts";

/** Told of every call of a driver, with the call itself; it may end the process instead. */
export type Watch = <T>(attempt: () => Promise<T>) => Promise<T>;

/** What a device's driver is called, and what a store's is. */
const DEVICE_HOOKS = [
  "getMany",
  "list",
  "count",
  "commit",
  "mark",
  "collections",
  "settle",
  "state",
  "release",
] as const;

/** A driver every call of which goes through `watch`, but for those that connect and disconnect. */
export function watched(driver: KeyStoreDriver, watch: Watch): KeyStoreDriver {
  return overridden(driver, {
    acquire: (request) =>
      watch(async () => {
        const outcome = await driver.acquire(request);
        return outcome.outcome === "acquired" ? { ...outcome, device: watchedDevice(outcome.device, watch) } : outcome;
      }),
  });
}

function watchedDevice(device: DeviceDriver, watch: Watch): DeviceDriver {
  const hooks = DEVICE_HOOKS.map((hook) => {
    const call = (device[hook] as (...parameters: unknown[]) => Promise<unknown>).bind(device);
    return [hook, (...parameters: unknown[]) => watch(() => call(...parameters))];
  });
  // Every hook of a device, and nothing else.
  return Object.fromEntries(hooks) as DeviceDriver;
}

/** An object with some of its methods replaced; the others keep the private state that they were made with. */
function overridden<T extends object>(target: T, replacements: Partial<T>): T {
  return new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(replacements, property)) return Reflect.get(replacements, property);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
