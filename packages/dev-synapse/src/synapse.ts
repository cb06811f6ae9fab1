import type { TestHomeserver } from "@holdfast/dev-homeserver";
import { startInChroot } from "./chroot/server.ts";
import { containerEngineAnswers, startContainer } from "./container.ts";
import { registerUser } from "./registration.ts";
import { SynapseUnavailable } from "./unavailable.ts";

/** A server that runs somewhere, and how to end it. */
export interface RunningSynapse {
  readonly baseUrl: string;
  readonly registrationSecret: string;
  stop(): Promise<void>;
}

/**
 * Starts a Synapse, empty, on the loopback address; or takes the one that
 * `SYNAPSE_URL` names, with `SYNAPSE_REGISTRATION_SHARED_SECRET`, which is then
 * neither emptied nor stopped. Without that it is a container where a Docker
 * engine answers, else, as root on Linux, a process in a Debian chroot that is
 * built once (some minutes, below 1 GB) under `XDG_CACHE_HOME`. The server ends
 * when it is stopped or this process does, however that comes.
 *
 * Answers to identical first syncs of a device come from a cache for two
 * minutes, as Synapse does it by default.
 *
 * @throws SynapseUnavailable where none of the three is possible, with the reason
 */
export async function startSynapse(env: NodeJS.ProcessEnv = process.env): Promise<TestHomeserver> {
  const { baseUrl, registrationSecret, stop } = await start(env);
  let stopped: Promise<void> | undefined;
  const stopOnce = (): Promise<void> => {
    stopped ??= stop();
    return stopped;
  };
  return {
    kind: "synapse",
    baseUrl,
    registerUser: (localpart, password) => registerUser(baseUrl, registrationSecret, localpart, password),
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
  };
}

async function start(env: NodeJS.ProcessEnv): Promise<RunningSynapse> {
  if (env.SYNAPSE_URL) return given(env.SYNAPSE_URL, env.SYNAPSE_REGISTRATION_SHARED_SECRET);
  if (await containerEngineAnswers()) return startContainer();
  if (process.platform === "linux" && process.getuid?.() === 0) return startInChroot(env);
  throw new SynapseUnavailable(
    "unsupported",
    "there is no Synapse to test on: set SYNAPSE_URL and SYNAPSE_REGISTRATION_SHARED_SECRET, " +
      "or start a Docker engine, or run as root on Linux",
  );
}

async function given(url: string, registrationSecret: string | undefined): Promise<RunningSynapse> {
  if (!registrationSecret) {
    throw new SynapseUnavailable(
      "misconfigured",
      "SYNAPSE_URL is set, and SYNAPSE_REGISTRATION_SHARED_SECRET is missing: users are registered with it",
    );
  }
  if (!URL.canParse(url)) throw new SynapseUnavailable("misconfigured", "SYNAPSE_URL is not an address");
  const baseUrl = url.replace(/\/+$/, "");
  try {
    await fetch(`${baseUrl}/_matrix/client/versions`);
  } catch (cause) {
    throw new SynapseUnavailable("misconfigured", "nothing answers where SYNAPSE_URL points to", { cause });
  }
  return { baseUrl, registrationSecret, stop: async () => {} };
}
