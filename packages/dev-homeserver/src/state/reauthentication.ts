import { randomUUID } from "node:crypto";
import { isObject, type JsonObject, optionalStringIn } from "../http/json.ts";
import { MatrixError, Reauthenticate } from "../http/matrix-error.ts";
import type { Accounts, Device } from "./accounts.ts";

const PASSWORD = "m.login.password";

/** User-interactive authentication by password, for what an access token alone must not do. */
export class Reauthentication {
  readonly #accounts: Accounts;
  readonly #sessions = new Set<string>();

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  /**
   * Lets a call through whose body holds the user's password in `auth`. A
   * session need not be named; one that is named must be known.
   *
   * @throws Reauthenticate where there is no `auth`, or the password is wrong (then with `M_FORBIDDEN`)
   * @throws MatrixError `M_FORBIDDEN` for another user's password, `M_UNKNOWN` for a session that nobody began
   */
  demand(device: Device, body: JsonObject): void {
    const { auth } = body;
    if (!isObject(auth)) throw new Reauthenticate(PASSWORD, this.#begin());
    const session = optionalStringIn(auth, "session");
    if (session !== undefined && !this.#sessions.has(session)) {
      throw new MatrixError(400, "M_UNKNOWN", "there is no such session");
    }
    if (auth.type !== PASSWORD) throw new Reauthenticate(PASSWORD, session ?? this.#begin());
    const identifier = isObject(auth.identifier) ? auth.identifier : auth;
    const user = optionalStringIn(identifier, "user");
    const userId = user === undefined ? device.userId : this.#accounts.userId(user);
    if (!this.#accounts.passwordMatches(userId, optionalStringIn(auth, "password") ?? "")) {
      const refusal = { completed: [], errcode: "M_FORBIDDEN", error: "Invalid username or password" };
      throw new Reauthenticate(PASSWORD, session ?? this.#begin(), refusal);
    }
    if (userId !== device.userId) throw new MatrixError(403, "M_FORBIDDEN", "this is another user's password");
    if (session !== undefined) this.#sessions.delete(session);
  }

  #begin(): string {
    const session = randomUUID();
    this.#sessions.add(session);
    return session;
  }
}
