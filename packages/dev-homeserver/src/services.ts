import type { Services } from "./routes/services.ts";
import { AccountData } from "./state/account-data.ts";
import { Accounts } from "./state/accounts.ts";
import { Backups } from "./state/backups.ts";
import { DeviceLists } from "./state/device-lists.ts";
import { Filters } from "./state/filters.ts";
import { Keys } from "./state/keys.ts";
import { KnownMembers } from "./state/known-members.ts";
import { Media } from "./state/media.ts";
import { Memberships } from "./state/memberships.ts";
import { Profiles } from "./state/profiles.ts";
import { Reauthentication } from "./state/reauthentication.ts";
import { Rooms } from "./state/rooms.ts";
import { Sessions } from "./state/sessions.ts";
import { Stream } from "./state/stream.ts";
import { Sync } from "./state/sync.ts";
import { ToDeviceMessages } from "./state/to-device.ts";
import { Transactions } from "./state/transactions.ts";

/** What the state of a development homeserver can be told. */
export interface ServicesOptions {
  /** What user and room ids end in. Default: `"localhost"`. */
  readonly serverName: string | undefined;
  /** The most to-device messages in one sync response. Default: 100, as a real server has it. */
  readonly toDeviceLimit: number | undefined;
  /** How long an access token is good for that can be refreshed, in milliseconds. Default: 300,000. */
  readonly accessTokenLifetimeMs: number | undefined;
  /** The most bytes of an uploaded file. Default: 50 MiB. */
  readonly maxUploadBytes: number | undefined;
  /** Whether a user's first cross-signing keys need its password too. Default: false; older servers want it. */
  readonly alwaysReauthenticate: boolean | undefined;
}

/** All state of one homeserver, empty. */
export function makeServices(options: Partial<ServicesOptions>): Services {
  const serverName = options.serverName ?? "localhost";
  const stream = new Stream();
  const accounts = new Accounts(serverName);
  const sessions = new Sessions(options.accessTokenLifetimeMs ?? 300_000);
  const profiles = new Profiles();
  const rooms = new Rooms(serverName, stream, new Memberships(profiles));
  const deviceLists = new DeviceLists(stream, rooms);
  const keys = new Keys(accounts, deviceLists);
  const toDevice = new ToDeviceMessages(accounts, stream);
  const accountData = new AccountData(stream);
  const knownMembers = new KnownMembers();
  const transactions = new Transactions();
  const toDeviceLimit = options.toDeviceLimit ?? 100;
  return {
    serverName,
    accountData,
    accounts,
    alwaysReauthenticate: options.alwaysReauthenticate ?? false,
    backups: new Backups(),
    deviceLists,
    filters: new Filters(),
    keys,
    media: new Media(serverName, options.maxUploadBytes ?? 50 * 1024 * 1024),
    profiles,
    reauthentication: new Reauthentication(accounts),
    rooms,
    sessions,
    sync: new Sync({ stream, rooms, keys, deviceLists, toDevice, accountData, knownMembers, toDeviceLimit }),
    toDevice,
    transactions,
    endDevice: (device) => {
      keys.forget(device);
      toDevice.forget(device);
      transactions.forget(device);
      knownMembers.forget(device);
      sessions.end(device);
      accounts.deleteDevice(device);
    },
  };
}
