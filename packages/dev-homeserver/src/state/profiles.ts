import { MatrixError } from "../http/matrix-error.ts";

/** What a user shows of itself. */
export interface Profile {
  readonly displayname?: string | undefined;
  readonly avatar_url?: string | undefined;
}

/** The profiles of all users. */
export class Profiles {
  readonly #profiles = new Map<string, Profile>();

  set(userId: string, profile: Profile): void {
    this.#profiles.set(userId, profile);
  }

  /** @throws MatrixError `M_NOT_FOUND` for a user that does not exist */
  get(userId: string): Profile {
    const profile = this.#profiles.get(userId);
    if (profile === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such user");
    return profile;
  }

  /** As `get`, with nothing for a user that does not exist. */
  find(userId: string): Profile {
    return this.#profiles.get(userId) ?? {};
  }
}
