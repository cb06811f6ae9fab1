import type { Encryption } from "../../crypto/encryption.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { textOf } from "../../http/json.ts";
import type { SealedCollection } from "../../records/sealed-collection.ts";

/** Where the record stands. */
const KEY = Buffer.from("signed-by");

/**
 * The public master key whose identity was last seen to have signed this device:
 * kept, sealed, in the device's store, so that what happens while nothing runs is noticed.
 */
export class SignedBy {
  readonly #encryption: Encryption;
  readonly #records: SealedCollection<JsonObject>;
  #masterKey: string | undefined;

  constructor(encryption: Encryption, collectionName: string) {
    this.#encryption = encryption;
    this.#records = encryption.collection<JsonObject>(collectionName);
  }

  /** `undefined` where none was ever seen. */
  async get(): Promise<string | undefined> {
    this.#masterKey ??= textOf((await this.#records.get(KEY))?.masterKey);
    return this.#masterKey;
  }

  async note(masterKey: string): Promise<void> {
    if ((await this.get()) === masterKey) return;
    await this.#encryption.commit([this.#records.put(KEY, { masterKey })]);
    this.#masterKey = masterKey;
  }
}
