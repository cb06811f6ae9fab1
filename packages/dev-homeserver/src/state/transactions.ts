import type { JsonObject } from "../http/json.ts";
import type { Device } from "./accounts.ts";
import { DeviceMap } from "./device-map.ts";

/** Answers that were given, by device, scope and transaction id, so that a request sent twice is done once. */
export class Transactions {
  readonly #answers = new DeviceMap<Map<string, JsonObject>>();

  /** The answer given before under this transaction id; else does the work, and keeps its answer. */
  once(device: Device, scope: readonly string[], txnId: string, work: () => JsonObject): JsonObject {
    const answers = this.#answers.getOrMake(device, () => new Map());
    // JSON, because a join by any character could make one key of two.
    const key = JSON.stringify([...scope, txnId]);
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = work();
    answers.set(key, answer);
    return answer;
  }

  forget(device: Device): void {
    this.#answers.delete(device);
  }
}
