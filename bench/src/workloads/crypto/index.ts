import type { CryptoWorkloadName } from "../../protocol.ts";
import { decrypt } from "./decrypt.ts";
import { encrypt } from "./encrypt.ts";
import { importKeys } from "./import.ts";
import { open } from "./open.ts";
import { receive } from "./receive.ts";
import type { CryptoWorkload } from "./scene.ts";
import { share } from "./share.ts";

export const cryptoWorkloads: Readonly<Record<CryptoWorkloadName, CryptoWorkload>> = {
  encrypt,
  decrypt,
  share,
  receive,
  import: importKeys,
  open,
};
