import type { AccountData } from "../state/account-data.ts";
import type { Accounts, Device } from "../state/accounts.ts";
import type { Backups } from "../state/backups.ts";
import type { DeviceLists } from "../state/device-lists.ts";
import type { Filters } from "../state/filters.ts";
import type { Keys } from "../state/keys.ts";
import type { Media } from "../state/media.ts";
import type { Profiles } from "../state/profiles.ts";
import type { Reauthentication } from "../state/reauthentication.ts";
import type { Rooms } from "../state/rooms.ts";
import type { Sessions } from "../state/sessions.ts";
import type { Sync } from "../state/sync.ts";
import type { ToDeviceMessages } from "../state/to-device.ts";
import type { Transactions } from "../state/transactions.ts";

/** What the routes speak to. */
export interface Services {
  readonly serverName: string;
  readonly accountData: AccountData;
  readonly accounts: Accounts;
  readonly backups: Backups;
  readonly deviceLists: DeviceLists;
  readonly filters: Filters;
  readonly keys: Keys;
  readonly media: Media;
  readonly profiles: Profiles;
  readonly reauthentication: Reauthentication;
  readonly rooms: Rooms;
  readonly sessions: Sessions;
  readonly sync: Sync;
  readonly toDevice: ToDeviceMessages;
  readonly transactions: Transactions;
  /** Whether a user's first cross-signing keys need its password too. */
  readonly alwaysReauthenticate: boolean;
  /** Ends a device, with its tokens, its keys and what waits for it. */
  endDevice(device: Device): void;
}
