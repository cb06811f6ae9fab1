import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 50;

/**
 * Waits until a homeserver answers.
 *
 * @param failed resolves with a reason when the server ends meanwhile
 * @param timeoutMs how long to wait, in milliseconds
 * @throws Error where the server ends or the time is over
 */
export async function untilItAnswers(baseUrl: string, failed: Promise<string>, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answers = fetch(`${baseUrl}/_matrix/client/versions`).then(
      (response) => response.ok,
      () => false,
    );
    const first = await Promise.race([answers, failed]);
    if (first === true) return;
    if (typeof first === "string") throw new Error(first);
    if (performance.now() > deadline) throw new Error("it does not answer");
    await delay(POLL_MS);
  }
}
