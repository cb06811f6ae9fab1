import { types } from "node:util";
import { Serializer } from "node:v8";

/** Objects with more than properties that `v8.serialize` restores, and that hold no others. */
export function isHeldByV8(value: object): boolean {
  return (
    types.isRegExp(value) ||
    types.isNumberObject(value) ||
    types.isStringObject(value) ||
    types.isBooleanObject(value) ||
    types.isBigIntObject(value)
  );
}

/** Objects of the language with more than properties that are not cloned. */
export function isNotData(value: object): boolean {
  return (
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isSymbolObject(value) ||
    types.isGeneratorObject(value) ||
    types.isMapIterator(value) ||
    types.isSetIterator(value) ||
    types.isExternal(value) ||
    types.isModuleNamespaceObject(value) ||
    value instanceof WeakRef ||
    value instanceof FinalizationRegistry
  );
}

/** Whether V8, which alone can see it, knows that an object is more than its properties. */
export function isRefusedByV8(value: object): boolean {
  try {
    new Serializer().writeValue(value);
    return false;
  } catch (error) {
    if (error instanceof Error && error.message.endsWith("could not be cloned.")) return true;
    // A getter's own.
    throw error;
  }
}
