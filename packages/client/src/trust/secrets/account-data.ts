import type { HomeserverApi, JsonObject } from "../../http/homeserver-api.ts";
import { isHomeserverError } from "../../http/homeserver-error.ts";
import { path } from "../../http/path.ts";

/** A user's global account data on the homeserver. */
export class AccountData {
  readonly #api: HomeserverApi;
  readonly #userId: string;

  constructor(api: HomeserverApi, userId: string) {
    this.#api = api;
    this.#userId = userId;
  }

  /**
   * The content of one type; `undefined` where the homeserver says that there is none.
   *
   * @throws what `HomeserverApi.request` throws: a failure is never taken for absence
   */
  async get(type: string, signal?: AbortSignal): Promise<JsonObject | undefined> {
    try {
      return await this.#api.request("GET", this.#path(type), { signal });
    } catch (error) {
      if (isHomeserverError(error, "M_NOT_FOUND") && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Replaces the content of one type. */
  async put(type: string, content: JsonObject, signal?: AbortSignal): Promise<void> {
    await this.#api.request("PUT", this.#path(type), { body: content, signal });
  }

  #path(type: string): string {
    return path`/v3/user/${this.#userId}/account_data/${type}`;
  }
}
