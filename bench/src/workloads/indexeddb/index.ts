import type { IndexedDbWorkloadName } from "../../protocol.ts";
import type { Workload } from "../workload.ts";
import type { Database } from "./database.ts";
import { gets, getsApart } from "./gets.ts";
import { puts } from "./puts.ts";
import { cursor, getAll, indexScan } from "./scans.ts";

export const indexedDbWorkloads: Readonly<Record<IndexedDbWorkloadName, Workload<Database>>> = {
  puts,
  gets,
  "gets-apart": getsApart,
  "get-all": getAll,
  cursor,
  "index-scan": indexScan,
};
