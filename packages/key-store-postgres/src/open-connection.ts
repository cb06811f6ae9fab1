import { Connection, type Login } from "./connection.ts";
import { type Address, openSocket, type TlsPlan } from "./socket.ts";

/** How to reach the server, and as whom. */
export interface ConnectionPlan {
  readonly address: Address;
  readonly tls: TlsPlan;
  readonly login: Login;
  readonly connectTimeoutMs: number;
}

/** Opens one connection, within its time limit or until the signal aborts. */
export async function openConnection(plan: ConnectionPlan, signal?: AbortSignal): Promise<Connection> {
  const timeout = timeoutSignal(plan.connectTimeoutMs);
  try {
    const signals = signal === undefined ? [timeout.signal] : [timeout.signal, signal];
    const socket = await openSocket(plan.address, plan.tls, AbortSignal.any(signals));
    return new Connection(socket, plan.login, plan.connectTimeoutMs);
  } finally {
    timeout.clear();
  }
}

/** A signal that aborts after a while, and a way to let go of its timer before. */
function timeoutSignal(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    const message = `the server did not answer within ${ms} ms`;
    controller.abort(Object.assign(new Error(message), { code: "CONNECT_TIMEOUT" }));
  }, ms);
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}
