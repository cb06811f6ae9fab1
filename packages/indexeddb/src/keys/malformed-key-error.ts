/** Bytes that are not those of a key. To programs it is a `DataError`. */
export class MalformedKeyError extends Error {
  override readonly name = "MalformedKeyError";
}
