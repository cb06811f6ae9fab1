import { randomBytes, randomUUID } from "node:crypto";
import { MatrixError } from "../http/matrix-error.ts";

/** A device that is logged in, or was and will be again under the same id. */
export interface Device {
  readonly userId: string;
  readonly deviceId: string;
  readonly displayName: string | undefined;
}

/** What a login gives. */
export interface Login {
  readonly device: Device;
  readonly accessToken: string;
}

/** What a client may say about the device that it logs in with. */
export interface DeviceChoice {
  /** Default: a new random id. */
  readonly deviceId?: string | undefined;
  readonly displayName?: string | undefined;
}

/** Users with their passwords, devices and access tokens. */
export class Accounts {
  readonly #serverName: string;
  // As they are: this server forgets everything when its process ends, and guards nothing.
  readonly #passwords = new Map<string, string>();
  readonly #devices = new Map<string, Map<string, Device>>();
  readonly #tokens = new Map<string, Device>();

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

  /** Logs a device in; if it is known, it stays what it is and its former access token ends. */
  login(userId: string, choice: DeviceChoice): Login {
    const deviceId = choice.deviceId ?? randomBytes(5).toString("hex").toUpperCase();
    const devices = this.#devices.get(userId) ?? new Map<string, Device>();
    this.#devices.set(userId, devices);
    const known = devices.get(deviceId);
    if (known !== undefined) this.#endTokensOf(known);
    const device = known ?? { userId, deviceId, displayName: choice.displayName };
    devices.set(deviceId, device);
    const accessToken = `dev_${randomUUID()}`;
    this.#tokens.set(accessToken, device);
    return { device, accessToken };
  }

  /** Whose access token this is; `undefined` where it is nobody's. */
  authenticate(token: string): Device | undefined {
    return this.#tokens.get(token);
  }

  /** Ends the device with its access token. */
  logout(device: Device): void {
    this.#endTokensOf(device);
    this.#devices.get(device.userId)?.delete(device.deviceId);
  }

  #endTokensOf(device: Device): void {
    for (const [token, owner] of this.#tokens) if (owner === device) this.#tokens.delete(token);
  }
}
