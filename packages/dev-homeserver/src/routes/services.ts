import type { Accounts } from "../state/accounts.ts";
import type { DeviceLists } from "../state/device-lists.ts";
import type { Filters } from "../state/filters.ts";
import type { Keys } from "../state/keys.ts";
import type { Rooms } from "../state/rooms.ts";
import type { Sync } from "../state/sync.ts";
import type { ToDeviceMessages } from "../state/to-device.ts";
import type { Transactions } from "../state/transactions.ts";

/** What the routes speak to. */
export interface Services {
  readonly accounts: Accounts;
  readonly deviceLists: DeviceLists;
  readonly filters: Filters;
  readonly keys: Keys;
  readonly rooms: Rooms;
  readonly sync: Sync;
  readonly toDevice: ToDeviceMessages;
  readonly transactions: Transactions;
}
