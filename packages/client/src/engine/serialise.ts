import { AsyncResource } from "node:async_hooks";
import {
  DehydratedDevice,
  DehydratedDevices,
  Device,
  OlmMachine,
  OtherUserIdentity,
  OwnUserIdentity,
  Qr,
  RehydratedDevice,
  Sas,
  UserDevices,
  VerificationRequest,
} from "@matrix-org/matrix-sdk-crypto-wasm";

/** Runs one call of the engine at a time, each as one durable commit. */
export type RunCall = <T>(call: () => Promise<T>) => Promise<T>;

/** Methods of the machine that answer at once, from memory. All others are calls that read and write the store. */
const IMMEDIATE: ReadonlySet<PropertyKey> = new Set([
  "close",
  "dehydratedDevices",
  "free",
  "getVerification",
  "getVerificationRequest",
  "getVerificationRequests",
  "queryKeysForUsers",
  "registerDevicesUpdatedCallback",
  "registerReceiveSecretCallback",
  "registerRoomKeysWithheldCallback",
  "registerRoomKeyUpdatedCallback",
  "registerUserIdentityUpdatedCallback",
]);

/** Methods of the machine that end it. */
const ENDS: ReadonlySet<PropertyKey> = new Set(["close", "free", Symbol.dispose]);

/** What the machine hands out and its methods that are calls of the engine too. */
const HANDED_OUT = new Map<unknown, ReadonlySet<PropertyKey>>([
  [DehydratedDevice, new Set(["keysForUpload"])],
  [
    DehydratedDevices,
    new Set(["create", "deleteDehydratedDeviceKey", "getDehydratedDeviceKey", "rehydrate", "saveDehydratedDeviceKey"]),
  ],
  [Device, new Set(["encryptToDeviceEvent", "setLocalTrust", "verify"])],
  [OtherUserIdentity, new Set(["pinCurrentMasterKey", "verify", "withdrawVerification"])],
  [OwnUserIdentity, new Set(["requestVerification", "trustsOurOwnDevice", "verify", "withdrawVerification"])],
  [Qr, new Set()],
  [RehydratedDevice, new Set(["receiveEvents"])],
  [Sas, new Set(["confirm"])],
  [UserDevices, new Set()],
  [VerificationRequest, new Set(["generateQrCode", "scanQrCode", "startSas"])],
]);

/** Whether a method of a class of the engine is a call that goes to the store; `undefined` for classes that have none. */
export function isCall(type: unknown, method: PropertyKey): boolean | undefined {
  if (type === OlmMachine) return !IMMEDIATE.has(method);
  return HANDED_OUT.get(type)?.has(method);
}

/**
 * The machine as its callers see it: every asynchronous method of it, and of
 * the devices, identities and verifications that it hands out, goes through
 * `run`. What ends the machine becomes `close`.
 */
export function serialise(machine: OlmMachine, run: RunCall, close: () => void): OlmMachine {
  const originals = new WeakMap<object, object>();

  const unwrap = (argument: unknown): unknown => {
    // A callback is called from inside a batch, but is not part of it: what it calls comes after.
    if (typeof argument === "function") return AsyncResource.bind(argument as () => unknown);
    return (typeof argument === "object" && argument !== null && originals.get(argument)) || argument;
  };

  const wrap = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(wrap);
    if (typeof value !== "object" || value === null || !HANDED_OUT.has(value.constructor)) return value;
    return wrapped(value);
  };

  const wrapped = <T extends object>(target: T): T => {
    const proxy = new Proxy(target, {
      get(_, property) {
        // With the target as the receiver: the engine's objects hold a pointer that only they may read.
        const read = (): unknown => Reflect.get(target, property, target);
        // A property that is a call: it asks the store for the device's name.
        if (target instanceof OlmMachine && property === "displayName") return run(async () => read());
        const member = read();
        if (typeof member !== "function" || property === "constructor") return member;
        if (target instanceof OlmMachine && ENDS.has(property)) return close;
        if (!isCall(target.constructor, property)) {
          return (...args: unknown[]) => wrap(Reflect.apply(member, target, args.map(unwrap)));
        }
        return (...args: unknown[]) => {
          const given = args.map(unwrap);
          return run(async () => wrap(await Reflect.apply(member, target, given)));
        };
      },
    });
    originals.set(proxy, target);
    return proxy;
  };

  return wrapped(machine);
}
