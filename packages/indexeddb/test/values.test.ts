import { createSecretKey, X509Certificate } from "node:crypto";
import { BlockList } from "node:net";
import { createHistogram } from "node:perf_hooks";
import { runInNewContext } from "node:vm";
import { Encoder } from "cbor-x";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clone } from "../src/values/clone.ts";
import { decodeValue } from "../src/values/decode.ts";
import { encodeValue } from "../src/values/encode.ts";
import { FORMAT } from "../src/values/format.ts";
import { cloneable, plainValue } from "./support/arbitraries.ts";

async function roundTrip(value: unknown): Promise<unknown> {
  return decodeValue(await encodeValue(clone(value)));
}

async function formatOf(value: unknown): Promise<number | undefined> {
  return (await encodeValue(clone(value)))[0];
}

describe("stored values", () => {
  it("come back as structuredClone would have them", async () => {
    await fc.assert(
      fc.asyncProperty(cloneable(), async (value) => {
        expect(await roundTrip(value)).toStrictEqual(structuredClone(value));
      }),
      { numRuns: 1500 },
    );
  });

  it("are CBOR where they are plain data, and come back exactly", async () => {
    await fc.assert(
      fc.asyncProperty(plainValue(), async (value) => {
        const stored = await encodeValue(clone(value));
        expect(decodeValue(stored)).toStrictEqual(structuredClone(value));
        if (clone(value).plain !== undefined) expect(stored[0]).toBe(FORMAT.cbor);
      }),
      { numRuns: 1000 },
    );
  });

  it("are read and written by another CBOR library just so", async () => {
    const other = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false });
    await fc.assert(
      fc.asyncProperty(plainValue(), async (value) => {
        const { plain } = clone(value);
        fc.pre(plain !== undefined);
        expect(other.decode(Uint8Array.from(plain.subarray(1)))).toEqual(structuredClone(value));
        const stored = Buffer.concat([Uint8Array.of(FORMAT.cbor), other.encode(value)]);
        expect(decodeValue(stored)).toStrictEqual(structuredClone(value));
      }),
      { numRuns: 500 },
    );
  });

  it.each([23, 24, 63, 64, 85, 255, 256, 65_535, 65_536, 70_000])(
    "hold strings and lists of %i, of any width",
    (length) => {
      for (const unit of ["a", "\u00e9", "\u20ac"]) {
        const value = {
          text: unit.repeat(length),
          [unit.repeat(length)]: Array.from({ length }, (_, nth) => nth - 300),
        };
        const { plain = new Uint8Array() } = clone(value);
        expect(decodeValue(plain)).toStrictEqual(value);
      }
    },
  );

  it("come back whole where Object.prototype has got a setter of a property's name", async () => {
    const stored = await encodeValue(clone({ extended: 1 }));
    const set = () => expect.unreachable("the setter was called");
    Object.defineProperty(Object.prototype, "extended", { set, get: () => "inherited", configurable: true });
    try {
      const back = decodeValue(stored);
      expect(Object.getOwnPropertyDescriptor(back, "extended")).toMatchObject({ value: 1, writable: true });
    } finally {
      delete (Object.prototype as { extended?: unknown }).extended;
    }
  });

  it.each([
    ["a negative zero", { n: -0 }],
    ["a BigInt", { n: 1n }],
    ["a lone surrogate", { s: "\ud800" }],
    ["a property named __proto__", JSON.parse('{"__proto__": {"a": 1}}')],
    ["a property named constructor", { constructor: "x" }],
    ["a sparse array", Object.assign([1], { 2: 3 })],
    ["an array with a property", Object.assign([1], { extra: true })],
    ["a part of a buffer", new Uint8Array([1, 2, 3]).subarray(1)],
    ["a date", new Date(5)],
  ])("leave CBOR to hold what it can: not %s", async (_, value) => {
    expect(await formatOf(value)).toBe(FORMAT.v8);
    expect(await roundTrip(value)).toStrictEqual(structuredClone(value));
  });

  it("keep cycles and shared references", async () => {
    const shared = { a: 1 };
    const value: Record<string, unknown> = { first: shared, second: shared };
    value.self = value;
    const back = (await roundTrip(value)) as Record<string, unknown>;
    expect(back.self).toBe(back);
    expect(back.first).toBe(back.second);
    expect(back.first).toEqual({ a: 1 });
  });

  it("keep what they share, however many objects lie between", async () => {
    for (const between of [0, 5, 6, 7, 8, 9, 100]) {
      const shared = { a: 1 };
      const others = Array.from({ length: between }, (_, nth) => ({ nth }));
      const last = { last: true };
      const back = (await roundTrip([shared, ...others, last, shared, last])) as object[];
      expect(back).toStrictEqual([{ a: 1 }, ...others, { last: true }, { a: 1 }, { last: true }]);
      expect(back.at(-2)).toBe(back[0]);
      expect(back.at(-1)).toBe(back.at(-3));
    }
  });

  it("are whole where a getter of theirs clones another value, and share nothing with the one before", async () => {
    const shared = { a: 1 };
    const inner = clone([shared]);
    const value = {
      shared,
      get other() {
        return { plain: clone([{ b: 2 }, { c: 3 }]).plain !== undefined };
      },
      again: { d: 4 },
    };
    expect(inner.plain).toBeDefined();
    expect(clone(value).plain).toBeDefined();
    expect(await roundTrip(value)).toStrictEqual({ shared: { a: 1 }, other: { plain: true }, again: { d: 4 } });
  });

  it("keep two views of one buffer on one buffer", async () => {
    const buffer = new Uint8Array([1, 2, 3, 4]).buffer;
    const back = (await roundTrip([new Uint8Array(buffer), new Uint16Array(buffer, 2)])) as [Uint8Array, Uint16Array];
    expect(back[0].buffer).toBe(back[1].buffer);
    expect([...back[0]]).toEqual([1, 2, 3, 4]);
    expect(back[1].byteOffset).toBe(2);
  });

  it("hold the bytes of a Buffer, and nothing of the pool that it was cut from", async () => {
    const stored = await encodeValue(clone(Buffer.from("abc")));
    expect(stored.length).toBe(5);
    expect(decodeValue(stored)).toStrictEqual(new Uint8Array([97, 98, 99]));
  });

  it("hold nothing of the pool where a Buffer is the cause of an error either", async () => {
    const other = Buffer.from("another's secret");
    const bytes = Buffer.from("abc");
    expect(bytes.buffer).toBe(other.buffer);
    const error = new Error("failed", {
      cause: { bytes, error: new TypeError("inner", { cause: Buffer.from("def") }) },
    });
    const stored = await encodeValue(clone(error));
    expect(Buffer.from(stored).includes(other)).toBe(false);
    const back = decodeValue(stored) as Error & { cause: { bytes: unknown; error: Error } };
    expect(back.cause.bytes).toStrictEqual(new Uint8Array([97, 98, 99]));
    expect(back.cause.error).toBeInstanceOf(TypeError);
    expect(back.cause.error.cause).toStrictEqual(new Uint8Array([100, 101, 102]));
  });

  it("keep of an error its type, message, stack and cause, whatever they are", async () => {
    class OwnError extends Error {
      override readonly name = "OwnError";
      readonly code = 5;
    }
    const errors = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, Error, OwnError];
    for (const Kind of errors) {
      for (const error of [new Kind("one"), new Kind(), new Kind("two", { cause: undefined })]) {
        const back = (await roundTrip(error)) as Error;
        const wanted = structuredClone(error);
        expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(wanted));
        expect(Object.getOwnPropertyNames(back).sort()).toEqual(Object.getOwnPropertyNames(wanted).sort());
        expect([back.message, back.stack, back.cause]).toEqual([wanted.message, wanted.stack, wanted.cause]);
      }
    }
    const circle = new Error("round");
    circle.cause = { circle, blob: new Blob(["in it"]) };
    const back = (await roundTrip(circle)) as Error & { cause: { circle: unknown; blob: Blob } };
    expect(back.cause.circle).toBe(back);
    expect(await back.cause.blob.text()).toBe("in it");
  });

  it("keep blobs and files with their bytes, wherever they are", async () => {
    const blob = new Blob(["some ", "text"], { type: "text/plain" });
    const file = new File(["<p>"], "page.html", { type: "text/html", lastModified: 12345 });
    const back = (await roundTrip({ blob, again: blob, inMap: new Map([["f", file]]), inSet: new Set([file]) })) as {
      blob: Blob;
      again: Blob;
      inMap: Map<string, File>;
      inSet: Set<File>;
    };
    expect(back.blob).toBeInstanceOf(Blob);
    expect(back.blob.type).toBe("text/plain");
    expect(await back.blob.text()).toBe("some text");
    expect(back.again).toBe(back.blob);
    const restored = back.inMap.get("f");
    expect(restored).toBeInstanceOf(File);
    expect(restored?.name).toBe("page.html");
    expect(restored?.lastModified).toBe(12345);
    expect(await restored?.text()).toBe("<p>");
    expect([...back.inSet]).toEqual([restored]);
  });

  it("keep a DOMException's name and message", async () => {
    const back = (await roundTrip({ error: new DOMException("gone", "NotFoundError") })) as { error: DOMException };
    expect(back.error).toBeInstanceOf(DOMException);
    expect(back.error.name).toBe("NotFoundError");
    expect(back.error.message).toBe("gone");
    expect(back.error.code).toBe(DOMException.NOT_FOUND_ERR);
  });

  it("are read with each getter called once", async () => {
    const calls: string[] = [];
    const value = {
      get a() {
        calls.push("a");
        return 1;
      },
      map: new Map(),
      get b() {
        calls.push("b");
        return 2;
      },
    };
    expect(await roundTrip(value)).toStrictEqual({ a: 1, map: new Map(), b: 2 });
    expect(calls).toEqual(["a", "b"]);
  });

  it("pass on what a getter throws", () => {
    const error = new Error("mine");
    const value = {
      get a(): never {
        throw error;
      },
    };
    expect(() => clone(value)).toThrow(error);
  });

  it("lose the class of an object and keep its own properties", async () => {
    class Point {
      x = 1;
      readonly #hidden = 2;
      get hidden(): number {
        return this.#hidden;
      }
    }
    expect(await roundTrip(new Point())).toStrictEqual({ x: 1 });
  });

  it.each([
    ["a function", () => {}],
    ["a symbol", Symbol("s")],
    ["a promise", Promise.resolve()],
    ["a weak map", new WeakMap()],
    ["a proxy", new Proxy({}, {})],
    ["an event", new Event("x")],
    ["shared memory", new SharedArrayBuffer(1)],
    ["a view of shared memory", new Uint8Array(new SharedArrayBuffer(1))],
    ["a URL", new URL("http://example.org")],
    ["a KeyObject", createSecretKey(Buffer.alloc(32))],
    ["an X509Certificate", Object.create(X509Certificate.prototype)],
    ["a histogram", createHistogram()],
    ["a list of blocked addresses", new BlockList()],
    ["a port", new MessageChannel().port1],
    ["a formatter of dates", new Intl.DateTimeFormat()],
    ["a locale", new Intl.Locale("en")],
    ["WebAssembly's memory", Reflect.construct(Reflect.get(globalThis, "WebAssembly").Memory, [{ initial: 1 }])],
    ["an iterator of an array", [1][Symbol.iterator]()],
    ["an iterator of a string", "a"[Symbol.iterator]()],
    ["an iterator of matches", "a".matchAll(/a/g)],
    ["a helper of iterators", Reflect.get([1].values(), "map").call([1].values(), String)],
    ["a generator that is asynchronous", (async function* () {})()],
  ])("cannot be %s", async (_, value) => {
    await expect(async () => roundTrip({ value })).rejects.toMatchObject({ name: "DataCloneError" });
  });

  it("may be of a class that extends what is native, or come from another realm, as their own properties", async () => {
    const rows: { new (): object } = Reflect.get(globalThis, "Iterator");
    class Row extends rows {
      n = 1;
    }
    const calls: string[] = [];
    const foreign = runInNewContext("({ n: 1, get m() { call('m'); return 2; } })", {
      call: (name: string) => calls.push(name),
    });
    expect(await roundTrip(new Row())).toStrictEqual({ n: 1 });
    expect(await roundTrip(Object.create(Map.prototype))).toStrictEqual({});
    const throwing = Object.defineProperty(new Row(), "n", {
      enumerable: true,
      get() {
        throw new TypeError("mine");
      },
    });
    expect(() => clone(throwing)).toThrow(new TypeError("mine"));
    expect(await roundTrip(Object.assign(Object.create(null), { n: 1 }))).toStrictEqual({ n: 1 });
    expect(await roundTrip(foreign)).toStrictEqual({ n: 1, m: 2 });
    expect(calls).toEqual(["m"]);
  });

  it("are a DataError where they are not what was written, and never anything else", async () => {
    const stored = await encodeValue(clone({ list: [1, "two", { three: 3.5 }], more: new Map([["k", 1n]]) }));
    const plain = await encodeValue(clone({ list: [1, "two", { three: 3.5 }] }));
    fc.assert(
      fc.property(
        fc.constantFrom(stored, plain),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (bytes, edits, cut) => {
          let damaged = Uint8Array.from(bytes);
          for (const [at, byte] of edits) damaged[at % damaged.length] = byte;
          damaged = damaged.subarray(0, 1 + (cut % damaged.length));
          try {
            decodeValue(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(DOMException);
            expect(error).toMatchObject({ name: "DataError" });
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it.each([
    ["nothing", []],
    ["an unknown format", [0x7f, 1]],
    ["CBOR that ends too early", [FORMAT.cbor, 0x82, 1]],
    ["CBOR with something behind it", [FORMAT.cbor, 1, 1]],
    ["no V8 value", [FORMAT.v8, 1, 2, 3]],
  ])("are a DataError where there is %s", (_, bytes) => {
    expect(() => decodeValue(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ name: "DataError" }));
  });
});
