/** Where the access token of requests comes from. */
export interface TokenSource {
  /**
   * The token to send now, made new first where it is about to expire;
   * `undefined` where there is none: the request is then refused by the homeserver.
   */
  token(): Promise<string | undefined>;

  /**
   * Another token, after the homeserver has refused `refused` with
   * `M_UNKNOWN_TOKEN`; `undefined` where there is no other to be had. Calls that
   * overlap, and calls for a token that was replaced meanwhile, share one new token.
   *
   * @param softLogout whether the homeserver says that the device still exists, and only its token has ended
   */
  renew(refused: string, softLogout: boolean): Promise<string | undefined>;
}

/** One token for ever. */
export function fixedToken(token: string): TokenSource {
  return { token: async () => token, renew: async () => undefined };
}
