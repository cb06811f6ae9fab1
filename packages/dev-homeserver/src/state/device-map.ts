import type { Device } from "./accounts.ts";

/** A value for each device, by user id and device id. */
export class DeviceMap<T> {
  readonly #users = new Map<string, Map<string, T>>();

  get(userId: string, deviceId: string): T | undefined {
    return this.#users.get(userId)?.get(deviceId);
  }

  /** The device's value; made now where it has none. */
  getOrMake(device: Pick<Device, "userId" | "deviceId">, make: () => T): T {
    const devices = this.#users.get(device.userId) ?? new Map<string, T>();
    this.#users.set(device.userId, devices);
    const value = devices.get(device.deviceId) ?? make();
    devices.set(device.deviceId, value);
    return value;
  }

  /** A user's devices, in the order of their first use. */
  of(userId: string): ReadonlyMap<string, T> {
    return this.#users.get(userId) ?? new Map();
  }

  delete(device: Device): void {
    this.#users.get(device.userId)?.delete(device.deviceId);
  }
}
