// https://tc39.es/ecma262/#prod-IdentifierName, of which key paths are made.
const IDENTIFIER_NAME = /^[$_\p{ID_Start}][$\u200c\u200d\p{ID_Continue}]*$/u;

/** Whether a text is an ECMAScript IdentifierName, reserved words included. */
export function isIdentifierName(text: string): boolean {
  return IDENTIFIER_NAME.test(text);
}
