import * as v from "valibot";
import { MatrixClientError } from "../../errors.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { type HomeserverError, isHomeserverError } from "../../http/homeserver-error.ts";

const PASSWORD = "m.login.password";
const DUMMY = "m.login.dummy";
/** Stages, mistyped answers and all: a homeserver that asks on and on is not asked for ever. */
const MAX_ANSWERS = 10;

const Challenge = v.object({
  session: v.optional(v.string()),
  flows: v.array(v.object({ stages: v.array(v.string()) })),
  completed: v.optional(v.array(v.string()), []),
  params: v.optional(v.record(v.string(), v.unknown()), {}),
});

/** What a homeserver wants to see before it does what it was asked (Matrix specification, "User-Interactive Authentication API"). */
export interface AuthChallenge {
  /** Each of these lists of stages suffices. */
  readonly flows: readonly (readonly string[])[];
  readonly completed: readonly string[];
  /** Parameters of stages, by stage. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Why the answer before this challenge did not do; `undefined` where there was none, or it did. */
  readonly refusal: string | undefined;
}

/**
 * Answers a challenge with the `auth` for one stage, without the session, or
 * with `undefined` to give up.
 */
export type AuthCallback = (challenge: AuthChallenge) => Promise<JsonObject | undefined> | JsonObject | undefined;

/** How a user proves who they are. */
export interface UserAuth {
  /** The account's password, for homeservers that ask for nothing else. */
  readonly password?: string | undefined;
  /** Asked where there is no password or it does not suffice. */
  readonly auth?: AuthCallback | undefined;
}

/**
 * Makes a request that may need user-interactive auth, stage by stage.
 *
 * @throws `MatrixClientError` `LOGIN_REFUSED` where the homeserver refuses the answers, or wants stages
 * that nothing here can answer; what `request` throws
 */
export async function requestWithAuth(
  request: (auth: JsonObject | undefined) => Promise<JsonObject>,
  userId: string,
  proof: UserAuth,
): Promise<JsonObject> {
  let auth: JsonObject | undefined;
  for (let answers = 0; ; answers += 1) {
    try {
      return await request(auth);
    } catch (error) {
      if (!isHomeserverError(error)) throw error;
      const challenge = v.safeParse(Challenge, error.body);
      if (error.status !== 401 || !challenge.success) throw auth === undefined ? error : afterAnswer(error);
      const { session, flows, completed, params } = challenge.output;
      const refusal = auth !== undefined && error.errcode !== "M_UNKNOWN" ? error.message : undefined;
      const asked = { flows: flows.map(({ stages }) => stages), completed, params, refusal };
      const answer = answers < MAX_ANSWERS ? await answerTo(asked, userId, proof) : undefined;
      if (answer === undefined) throw unanswered(asked, error);
      auth = { ...answer, ...(session === undefined ? {} : { session }) };
    }
  }
}

async function answerTo(challenge: AuthChallenge, userId: string, proof: UserAuth): Promise<JsonObject | undefined> {
  // A password that was refused is not tried again: homeservers count.
  if (proof.password !== undefined && challenge.refusal === undefined) {
    const remaining = challenge.flows.map((stages) => stages.filter((stage) => !challenge.completed.includes(stage)));
    const flow = remaining.find((stages) => stages.every((stage) => stage === PASSWORD || stage === DUMMY));
    if (flow?.[0] === DUMMY) return { type: DUMMY };
    if (flow?.[0] === PASSWORD) {
      return { type: PASSWORD, identifier: { type: "m.id.user", user: userId }, password: proof.password };
    }
  }
  return proof.auth?.(challenge);
}

/** Synapse repeats the challenge where an answer is wrong, others simply refuse. */
function afterAnswer(error: HomeserverError): unknown {
  if (error.errcode !== "M_FORBIDDEN") return error;
  return new MatrixClientError(
    "LOGIN_REFUSED",
    `the homeserver refused the proof of who its user is: ${error.message}`,
    {
      cause: error,
    },
  );
}

function unanswered({ flows, refusal }: AuthChallenge, cause: HomeserverError): MatrixClientError {
  const wanted = flows.map((stages) => stages.join(" and ")).join(", or ");
  const message = refusal ?? `the homeserver wants its user to prove who they are by ${wanted || "something unknown"}`;
  return new MatrixClientError("LOGIN_REFUSED", message, { cause });
}
