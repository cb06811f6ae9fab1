import { types } from "node:util";
import { Deserializer } from "node:v8";
import { readCbor } from "./cbor-reader.ts";
import { FORMAT, type StoredAttachment } from "./format.ts";

/**
 * The value of stored bytes: always a new one.
 *
 * @throws `DataError` where the bytes are not those of a value
 */
export function decodeValue(stored: Uint8Array): unknown {
  try {
    return decode(stored);
  } catch (cause) {
    throw new DOMException("a stored value is not what was written", { name: "DataError", cause });
  }
}

function decode(stored: Uint8Array): unknown {
  switch (stored[0]) {
    case FORMAT.cbor:
      return readCbor(stored, 1);
    case FORMAT.v8:
      return deserialize(stored);
    case FORMAT.v8WithAttachments: {
      const [value, placeholders, attachments] = deserialize(stored) as [unknown, object[], StoredAttachment[]];
      const originals = new Map<unknown, object>();
      placeholders.forEach((placeholder, nth) => {
        originals.set(placeholder, restored(attachments[nth]));
      });
      return replace(value, originals);
    }
    default:
      throw new TypeError(`there is no format ${stored[0]}`);
  }
}

function deserialize(stored: Uint8Array): unknown {
  // A plain Uint8Array, whatever the store gave: what is cut out of it has its class.
  const bytes = new Uint8Array(stored.buffer, stored.byteOffset + 1, stored.byteLength - 1);
  const deserializer = new Deserializer(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

function restored(attachment: StoredAttachment | undefined): object {
  switch (attachment?.kind) {
    case "blob":
      return new Blob([bytesOf(attachment)], { type: attachment.type });
    case "file":
      return new File([bytesOf(attachment)], attachment.name, {
        type: attachment.type,
        lastModified: attachment.lastModified,
      });
    case "exception":
      return new DOMException(attachment.message, attachment.name);
    default:
      throw new TypeError("an attachment is missing");
  }
}

function bytesOf(attachment: { readonly bytes: Uint8Array }): Uint8Array<ArrayBuffer> {
  return attachment.bytes as Uint8Array<ArrayBuffer>; // it comes from V8's deserializer, which shares nothing
}

/** Puts the originals where their placeholders are, all through a value. */
function replace(value: unknown, originals: ReadonlyMap<unknown, object>): unknown {
  const done = new Set<object>();
  const visit = (each: unknown): unknown => {
    const original = originals.get(each);
    if (original !== undefined) return original;
    if (typeof each !== "object" || each === null || done.has(each)) return each;
    done.add(each);
    if (each instanceof Map) {
      const entries = [...each];
      each.clear();
      for (const [key, member] of entries) each.set(visit(key), visit(member));
    } else if (each instanceof Set) {
      const members = [...each];
      each.clear();
      for (const member of members) each.add(visit(member));
    } else if (!ArrayBuffer.isView(each)) {
      for (const [key, member] of Object.entries(each)) {
        const replaced = visit(member);
        if (replaced !== member) (each as Record<string, unknown>)[key] = replaced;
      }
      // No entry: it is not enumerable.
      if (types.isNativeError(each) && Object.hasOwn(each, "cause")) each.cause = visit(each.cause);
    }
    return each;
  };
  return visit(value);
}
