/** What a Blob or File says of itself, and what key paths may lead to. */
export type BlobMembers =
  | { readonly size: number; readonly type: string }
  | { readonly size: number; readonly type: string; readonly name: string; readonly lastModified: number };

/** The members of a Blob or File: those of its interface, whatever else a program has put on it. */
export function blobMembers(blob: Blob): BlobMembers {
  const size: number = Reflect.get(Blob.prototype, "size", blob);
  const type: string = Reflect.get(Blob.prototype, "type", blob);
  if (!(blob instanceof File)) return { size, type };
  const name: string = Reflect.get(File.prototype, "name", blob);
  const lastModified: number = Reflect.get(File.prototype, "lastModified", blob);
  return { size, type, name, lastModified };
}
