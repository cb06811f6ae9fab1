import type { Sas } from "@matrix-org/matrix-sdk-crypto-wasm";

/** One of the 64 emoji of the Matrix specification. */
export interface VerificationEmoji {
  readonly symbol: string;
  /** In English, such as `Dog`. */
  readonly description: string;
}

/** What both sides of a verification show, and compare. */
export interface ShortAuthString {
  /** Seven of them; `undefined` where the other side knows numbers only. */
  readonly emoji: readonly VerificationEmoji[] | undefined;
  /** Three numbers of four digits. */
  readonly decimals: readonly number[];
}

/** What is to be compared; `undefined` before the keys are exchanged. */
export function shortAuthStringOf(sas: Sas): ShortAuthString | undefined {
  if (!sas.canBePresented()) return undefined;
  const decimals = sas.decimals();
  if (decimals === undefined) return undefined;
  const emoji = sas.supportsEmoji()
    ? sas.emoji()?.map(({ symbol, description }) => ({ symbol, description }))
    : undefined;
  return { emoji, decimals: [...decimals] };
}
