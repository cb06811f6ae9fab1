// https://tc39.es/ecma262/#prod-IdentifierName, of which key paths are made.
const IDENTIFIER_NAME = /^[$_\p{ID_Start}](?:[$\p{ID_Continue}]|\u200c|\u200d)*$/u;

/** Whether a text is an ECMAScript IdentifierName, reserved words included. */
export function isIdentifierName(text: string): boolean {
  return IDENTIFIER_NAME.test(text);
}
