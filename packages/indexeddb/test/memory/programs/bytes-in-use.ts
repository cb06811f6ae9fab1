/** What is in use and not garbage: on the heap, and in buffers beside it. Needs `--expose-gc`. */
export function bytesInUse(): number {
  if (globalThis.gc === undefined) throw new Error("this program needs --expose-gc");
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
