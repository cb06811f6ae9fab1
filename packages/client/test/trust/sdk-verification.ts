import type { MatrixClient } from "matrix-js-sdk";
import {
  CryptoEvent,
  VerificationPhase,
  type VerificationRequest,
  VerificationRequestEvent,
  VerifierEvent,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { expect } from "vitest";
import type { Verification } from "../../src/trust/verification/verification.ts";

/** The next verification that the SDK is asked for. */
export function requested({ client }: { readonly client: MatrixClient }): Promise<VerificationRequest> {
  return new Promise((resolve) => client.once(CryptoEvent.VerificationRequestReceived, resolve));
}

/** Both sides see the same emoji and numbers, and say so. */
export async function compare(
  verification: Verification,
  request: VerificationRequest,
  { sdkStarts = false }: { readonly sdkStarts?: boolean } = {},
): Promise<void> {
  if (sdkStarts) {
    await changed(request, () => (request.phase === VerificationPhase.Ready ? true : undefined));
    await request.startVerification("m.sas.v1");
  }
  const [{ sas, done }, shown] = await Promise.all([shownBy(request), verification.shortAuthString]);
  expect(sas.sas.emoji).toHaveLength(7);
  expect(sas.sas.decimal).toEqual(shown.decimals);
  expect(sas.sas.emoji?.map(([symbol]) => symbol)).toEqual(shown.emoji?.map(({ symbol }) => symbol));
  await Promise.all([sas.confirm(), verification.confirm()]);
  await Promise.all([done, verification.done]);
}

/** What the SDK shows of a verification, once it does. */
async function shownBy(request: VerificationRequest) {
  const verifier = await changed(request, () => request.verifier);
  const shown = new Promise<ReturnType<typeof verifier.getShowSasCallbacks>>((resolve) => {
    const look = () => resolve(verifier.getShowSasCallbacks());
    if (verifier.getShowSasCallbacks() !== null) look();
    else verifier.once(VerifierEvent.ShowSas, look);
  });
  const done = verifier.verify();
  done.catch(() => {});
  const sas = await shown;
  if (sas === null) throw new Error("the SDK shows nothing");
  return { sas, done };
}

async function changed<T>(request: VerificationRequest, look: () => T | undefined): Promise<T> {
  for (;;) {
    const change = new Promise<void>((resolve) => request.once(VerificationRequestEvent.Change, resolve));
    const found = look();
    if (found !== undefined) return found;
    await change;
  }
}
