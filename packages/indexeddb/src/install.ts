import { indexedDB, withMounts } from "./factory.ts";
import { DOMStringList } from "./idl/dom-string-list.ts";
import { IDBCursor, IDBCursorWithValue } from "./idl/idb-cursor.ts";
import { IDBDatabase } from "./idl/idb-database.ts";
import { IDBFactory } from "./idl/idb-factory.ts";
import { IDBIndex } from "./idl/idb-index.ts";
import { IDBKeyRange } from "./idl/idb-key-range.ts";
import { IDBObjectStore } from "./idl/idb-object-store.ts";
import { IDBRecord } from "./idl/idb-record.ts";
import { IDBOpenDBRequest, IDBRequest } from "./idl/idb-request.ts";
import { IDBTransaction } from "./idl/idb-transaction.ts";
import { IDBVersionChangeEvent } from "./idl/idb-version-change-event.ts";

const INTERFACES = {
  DOMStringList,
  IDBCursor,
  IDBCursorWithValue,
  IDBDatabase,
  IDBFactory,
  IDBIndex,
  IDBKeyRange,
  IDBObjectStore,
  IDBOpenDBRequest,
  IDBRecord,
  IDBRequest,
  IDBTransaction,
  IDBVersionChangeEvent,
} as const;

/** What {@link install} or {@link installMounts} put on an object. Also taken out by `using`. */
export interface Installation extends Disposable {
  /**
   * Whether it stands: whether neither another installation nor other code has
   * put an `indexedDB` or an interface of its own over it. One that was taken
   * out does not.
   */
  readonly isInForce: boolean;

  /**
   * Takes this installation out, and no other: one that was made later stays,
   * and puts back in its turn what was there before both. Names that other code
   * has put something of its own on since are left to it. Idempotent.
   */
  uninstall(): void;
}

type Properties = Map<string, PropertyDescriptor | undefined>;

/** One installation: what it put on the object, and what it covers. */
interface Layer {
  readonly put: Properties;
  readonly before: Properties;
  /** Whether it stays above those of {@link install}, and is left alone by {@link uninstall}. */
  readonly ofMounts: boolean;
}

/** The installations on each object, the uppermost last. */
const installations = new WeakMap<object, Layer[]>();

/**
 * Puts `indexedDB` and the `IDB*` interfaces on an object, where programs look
 * for them. Another implementation that is there already is replaced until the
 * installation is taken out: by what this answers, or by {@link uninstall},
 * which each call needs one of. Beneath {@link installMounts}, which sends on
 * to it, it has the names that nothing is mounted for.
 *
 * @param target default: `globalThis`
 * @param factory what becomes `indexedDB`. Default: the factory of all mounts
 * @throws `TypeError` for a target that is a factory itself, and for a factory that is none
 */
export function install(target: object = globalThis, factory: IDBFactory = indexedDB): Installation {
  if (target instanceof IDBFactory) {
    throw new TypeError("install() was given a factory as its target: call install(globalThis, factory)");
  }
  if (typeof factory?.open !== "function") {
    throw new TypeError("install() takes a factory, such as createIndexedDB(device), as its second argument");
  }
  const layer: Layer = { put: properties(target, factory), before: new Map(), ofMounts: false };
  const layers = layersOf(target);
  const top = layers.at(-1);
  if (top?.ofMounts && isInForce(target, top)) {
    // The module that the mounts are for may look the globals up at any time: it must find them.
    for (const [name, put] of layer.put) {
      layer.before.set(name, top.before.get(name));
      top.before.set(name, put);
    }
    layers.splice(-1, 0, layer);
  } else {
    cover(target, layer);
    layers.push(layer);
  }
  return installation(target, layer);
}

/**
 * For libraries that mount device stores for code that looks `indexedDB` up on
 * `globalThis`, and share the process with programs that have an IndexedDB of
 * their own. Puts the interfaces there, and an `indexedDB` that has the
 * databases which something is mounted for; all others are those of the
 * `indexedDB` that was there before, or that is installed later. It stays
 * above what {@link install} puts there, and {@link uninstall} does not take it
 * out: only what this answers does.
 */
export function installMounts(): Installation {
  const target = globalThis;
  const before: Properties = new Map();
  const factory = withMounts(() => {
    const covered = before.get("indexedDB");
    return covered?.get === undefined ? covered?.value : Reflect.apply(covered.get, target, []);
  });
  const layer: Layer = { put: properties(target, factory), before, ofMounts: true };
  cover(target, layer);
  layersOf(target).push(layer);
  return installation(target, layer);
}

/**
 * Takes out what the last {@link install} put on an object, and puts back what
 * was there before. Does nothing where nothing is installed.
 *
 * @param target default: `globalThis`
 */
export function uninstall(target: object = globalThis): void {
  const last = layersOf(target).findLast((layer) => !layer.ofMounts);
  if (last !== undefined) takeOut(target, last);
}

function installation(target: object, layer: Layer): Installation {
  const handle: Installation = {
    get isInForce() {
      return layersOf(target).includes(layer) && isInForce(target, layer);
    },
    uninstall: () => takeOut(target, layer),
    [Symbol.dispose]: () => handle.uninstall(),
  };
  return handle;
}

function layersOf(target: object): Layer[] {
  const existing = installations.get(target);
  if (existing !== undefined) return existing;
  const layers: Layer[] = [];
  installations.set(target, layers);
  return layers;
}

function properties(target: object, factory: IDBFactory): Properties {
  // A getter, as in a browser, made so that it has the name that Web IDL gives it.
  const { get } = Object.getOwnPropertyDescriptor(
    {
      get indexedDB(): IDBFactory {
        // As a global it is also asked for without an object before it.
        if (this !== undefined && this !== null && (this as object) !== target)
          throw new TypeError("Illegal invocation");
        return factory;
      },
    },
    "indexedDB",
  ) as { get: () => IDBFactory };
  const put: Properties = new Map([["indexedDB", { get, enumerable: true, configurable: true }]]);
  for (const [name, value] of Object.entries(INTERFACES)) {
    put.set(name, { value, writable: true, enumerable: false, configurable: true });
  }
  return put;
}

function cover(target: object, { put, before }: Layer): void {
  for (const [name, descriptor] of put) {
    before.set(name, Object.getOwnPropertyDescriptor(target, name));
    define(target, name, descriptor);
  }
}

function takeOut(target: object, layer: Layer): void {
  const layers = layersOf(target);
  const at = layers.indexOf(layer);
  if (at < 0) return;
  layers.splice(at, 1);
  const above = layers[at];
  for (const [name, put] of layer.put) {
    const before = layer.before.get(name);
    const now = above === undefined ? Object.getOwnPropertyDescriptor(target, name) : above.before.get(name);
    // What other code has put there since is not ours to take away.
    if (!isSame(now, put)) continue;
    if (above === undefined) define(target, name, before);
    else above.before.set(name, before);
  }
}

function define(target: object, name: string, descriptor: PropertyDescriptor | undefined): void {
  if (descriptor === undefined) Reflect.deleteProperty(target, name);
  else Object.defineProperty(target, name, descriptor);
}

function isInForce(target: object, { put }: Layer): boolean {
  for (const [name, descriptor] of put) {
    if (!isSame(Object.getOwnPropertyDescriptor(target, name), descriptor)) return false;
  }
  return true;
}

function isSame(one: PropertyDescriptor | undefined, other: PropertyDescriptor | undefined): boolean {
  return one?.get === other?.get && one?.value === other?.value;
}
