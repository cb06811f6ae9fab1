import type { Scenario } from "../scenario.ts";
import { bootstrapCrossSigning } from "./cross-signing.ts";
import { importRoomKeys } from "./import.ts";
import { openKnownDevice, openNewDevice } from "./open.ts";
import { receiveRoomKeys, receiveSyncWithToken } from "./receive.ts";
import { answerKeysClaim, answerKeysQuery } from "./requests.ts";
import { encryptRoomEvent, shareRoomKey } from "./share.ts";
import { replaceOneTimeKeys, uploadKeys } from "./upload.ts";

/** Every call of the engine that writes. */
export const scenarios: readonly Scenario[] = [
  openNewDevice,
  openKnownDevice,
  uploadKeys,
  replaceOneTimeKeys,
  answerKeysQuery,
  answerKeysClaim,
  receiveRoomKeys,
  receiveSyncWithToken,
  shareRoomKey,
  encryptRoomEvent,
  importRoomKeys,
  bootstrapCrossSigning,
];

export { receiveRoomKeys };
