import type { WorkloadName } from "../protocol.ts";
import { decrypt } from "./decrypt.ts";
import { encrypt } from "./encrypt.ts";
import { importKeys } from "./import.ts";
import { open } from "./open.ts";
import { receive } from "./receive.ts";
import { share } from "./share.ts";
import type { Workload } from "./workload.ts";

export const workloads: Readonly<Record<WorkloadName, Workload>> = {
  encrypt,
  decrypt,
  share,
  receive,
  import: importKeys,
  open,
};
