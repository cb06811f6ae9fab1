/** A room event's ciphertext that has left the process, and what was in it. */
export interface Ciphertext {
  /** The content of an `m.room.encrypted` event, as JSON. */
  readonly content: string;
  /** What was encrypted. */
  readonly body: string;
}

/** Which key encrypted a message: no two messages may share it. */
interface MessageKey {
  readonly sessionId: string;
  readonly index: number;
}

const VERSION = 3;
const INDEX_TAG = 0x08;

/** Reads the index out of a Megolm message: a version byte, then the tag and the varint of the index. */
function messageKey(content: string): MessageKey {
  const { session_id: sessionId, ciphertext } = JSON.parse(content) as { session_id: string; ciphertext: string };
  const bytes = Buffer.from(ciphertext, "base64");
  if (bytes[0] !== VERSION || bytes[1] !== INDEX_TAG) throw new Error(`no Megolm message: ${ciphertext}`);
  let index = 0;
  for (let offset = 2, shift = 0; ; offset += 1, shift += 7) {
    const byte = bytes[offset];
    if (byte === undefined) throw new Error(`a Megolm message that ends inside its index: ${ciphertext}`);
    index += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { sessionId, index };
  }
}

/** The messages whose key another one, of other content, was encrypted with too. */
export function reused(ciphertexts: readonly Ciphertext[]): MessageKey[] {
  const seen = new Map<string, string>();
  return ciphertexts
    .map(({ content, body }) => ({ key: messageKey(content), body }))
    .filter(({ key, body }) => {
      const name = `${key.sessionId} ${key.index}`;
      const before = seen.get(name) ?? body;
      seen.set(name, before);
      return before !== body;
    })
    .map(({ key }) => key);
}
