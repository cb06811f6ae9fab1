import { registerPlatformPrototype } from "../values/platform-objects.ts";

/** What constructors of interfaces are called with when it is this library that calls them. */
export const internal: unique symbol = Symbol("internal");

export function illegalConstructor(): TypeError {
  return new TypeError("Illegal constructor");
}

interface InterfaceClass {
  readonly name: string;
  readonly prototype: object;
}

/**
 * Gives a class the property attributes of a Web IDL interface: enumerable
 * members, and its name as the tag of its objects.
 * https://webidl.spec.whatwg.org/#js-interfaces
 */
export function defineInterface(interfaceClass: InterfaceClass): void {
  const { prototype } = interfaceClass;
  for (const owner of [prototype, interfaceClass]) {
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (
        owner === prototype ? name === "constructor" : !descriptor.writable || typeof descriptor.value !== "function"
      ) {
        continue;
      }
      Object.defineProperty(owner, name, { ...descriptor, enumerable: true });
    }
  }
  registerPlatformPrototype(prototype);
  Object.defineProperty(prototype, Symbol.toStringTag, { value: interfaceClass.name, configurable: true });
}
