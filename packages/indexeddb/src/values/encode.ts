import { Serializer } from "node:v8";
import { blobMembers } from "./blob-members.ts";
import { type Attachment, type Clone, ownClone } from "./clone.ts";
import { FORMAT, type StoredAttachment } from "./format.ts";

/** The bytes that are stored, or a promise of them. */
export type EncodedValue = Uint8Array | Promise<Uint8Array>;

/**
 * The bytes that are stored for a clone, or a promise of them where the bytes
 * of a Blob must be read first. Where they are never asked for, that they could
 * not be read is nobody's failure.
 *
 * @throws `DataCloneError` for what V8 cannot hold
 */
export function encodeValue(clone: Clone): EncodedValue {
  if (clone.plain !== undefined) return clone.plain;
  if (clone.attachments.length > 0) {
    const encoded = encodeWithAttachments(ownClone(clone));
    encoded.catch(() => {});
    return encoded;
  }
  return withFormat(FORMAT.v8, toV8(clone.value));
}

async function encodeWithAttachments(clone: Clone): Promise<Uint8Array> {
  const placeholders = clone.attachments.map((each) => each.placeholder);
  const stored = await Promise.all(clone.attachments.map(storedAttachment));
  return withFormat(FORMAT.v8WithAttachments, toV8([clone.value, placeholders, stored]));
}

async function storedAttachment({ original }: Attachment): Promise<StoredAttachment> {
  if (!(original instanceof Blob)) return { kind: "exception", name: original.name, message: original.message };
  const members = blobMembers(original);
  const { type } = members;
  const bytes = new Uint8Array(await original.arrayBuffer());
  if (!("name" in members)) return { kind: "blob", type, bytes };
  return { kind: "file", type, bytes, name: members.name, lastModified: members.lastModified };
}

function toV8(value: unknown): Uint8Array {
  try {
    // Not serialize(), which tears views off the buffers that they share.
    const serializer = new Serializer();
    serializer.writeHeader();
    serializer.writeValue(value);
    return serializer.releaseBuffer();
  } catch (error) {
    // Out of memory, or too deep for the stack, says so itself.
    if (error instanceof RangeError) throw error;
    throw new DOMException(error instanceof Error ? error.message : String(error), "DataCloneError");
  }
}

function withFormat(format: number, bytes: Uint8Array): Uint8Array {
  const stored = Buffer.allocUnsafe(bytes.length + 1);
  stored[0] = format;
  stored.set(bytes, 1);
  return stored;
}
