/** The first byte of a stored value: what the others are. */
export const FORMAT = {
  /** CBOR, RFC 8949: any language reads it. Nothing is abbreviated: a value needs nothing but itself to be read. */
  cbor: 0x01,
  /** What V8's serializer wrote; reads in this and later versions of V8. */
  v8: 0x02,
  /** As `v8`, of a list: the value, the placeholders in it, and what stands in their place. */
  v8WithAttachments: 0x03,
} as const;

/** What is stored of an attachment. */
export type StoredAttachment =
  | { readonly kind: "blob"; readonly type: string; readonly bytes: Uint8Array }
  | {
      readonly kind: "file";
      readonly type: string;
      readonly bytes: Uint8Array;
      readonly name: string;
      readonly lastModified: number;
    }
  | { readonly kind: "exception"; readonly name: string; readonly message: string };
