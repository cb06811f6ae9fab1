import { randomBytes } from "node:crypto";
import { MatrixError } from "../http/matrix-error.ts";

/** A device that is logged in, or was and will be again under the same id. */
export interface Device {
  readonly userId: string;
  readonly deviceId: string;
  readonly displayName: string | undefined;
}

/** What a client may say about the device that it logs in with. */
export interface DeviceChoice {
  /** Default: a new random id. */
  readonly deviceId?: string | undefined;
  readonly displayName?: string | undefined;
}

/** Users with their passwords and devices. */
export class Accounts {
  readonly #serverName: string;
  // As they are: this server forgets everything when its process ends, and guards nothing.
  readonly #passwords = new Map<string, string>();
  readonly #devices = new Map<string, Map<string, { -readonly [K in keyof Device]: Device[K] }>>();

  constructor(serverName: string) {
    this.#serverName = serverName;
  }

  /** The full id of a user that may be given by its local part only. */
  userId(user: string): string {
    return user.startsWith("@") ? user : `@${user}:${this.#serverName}`;
  }

  exists(userId: string): boolean {
    return this.#passwords.has(userId);
  }

  /** A user's devices, in the order of their first login; none for users that do not exist. */
  devicesOf(userId: string): Device[] {
    return [...(this.#devices.get(userId)?.values() ?? [])];
  }

  device(userId: string, deviceId: string): Device | undefined {
    return this.#devices.get(userId)?.get(deviceId);
  }

  /**
   * Makes a user.
   *
   * @throws MatrixError `M_INVALID_USERNAME`, `M_USER_IN_USE`
   */
  register(username: string, password: string): string {
    if (!/^[a-z0-9._=/+-]+$/.test(username)) {
      throw new MatrixError(400, "M_INVALID_USERNAME", "a username has only the characters a-z, 0-9 and ._=-/+");
    }
    const userId = this.userId(username);
    if (this.exists(userId)) throw new MatrixError(400, "M_USER_IN_USE", "this username is taken");
    this.#passwords.set(userId, password);
    return userId;
  }

  passwordMatches(userId: string, password: string): boolean {
    return this.#passwords.get(userId) === password;
  }

  setPassword(userId: string, password: string): void {
    this.#passwords.set(userId, password);
  }

  /** The device of that id, new or known; a known one stays what it is. */
  openDevice(userId: string, choice: DeviceChoice): Device {
    const deviceId = choice.deviceId ?? randomBytes(5).toString("hex").toUpperCase();
    const devices = this.#devices.get(userId) ?? new Map();
    this.#devices.set(userId, devices);
    const device = devices.get(deviceId) ?? { userId, deviceId, displayName: choice.displayName };
    devices.set(deviceId, device);
    return device;
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  rename(userId: string, deviceId: string, displayName: string): void {
    const device = this.#devices.get(userId)?.get(deviceId);
    if (device === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such device");
    device.displayName = displayName;
  }

  deleteDevice(device: Device): void {
    this.#devices.get(device.userId)?.delete(device.deviceId);
  }
}
