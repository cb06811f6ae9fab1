import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextMap } from "../src/text-map.ts";

const aText = fc.string({ unit: fc.constantFrom("\0", "a", "b", "\x7f", "\xff"), maxLength: 3 });
const aStep = fc.oneof(
  fc.record({ set: aText, value: fc.nat() }),
  fc.record({ delete: aText }),
  fc.record({ start: aText, end: fc.option(aText, { nil: undefined }), reverse: fc.boolean() }),
  fc.constant("in order" as const),
  fc.constant("clear" as const),
);

function between(model: ReadonlyMap<string, number>, start: string, end: string | undefined): [string, number][] {
  const sorted = [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a, "latin1"), Buffer.from(b, "latin1")));
  return sorted.filter(([text]) => text >= start && (end === undefined || text < end));
}

describe("a text map", () => {
  it("has what was set, in bytewise order whenever it is asked for one", () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 30 }), (steps) => {
        const map = new TextMap<number>();
        const model = new Map<string, number>();
        for (const step of steps) {
          if (step === "clear") {
            map.clear();
            model.clear();
          } else if (step === "in order") {
            const pairs: [string, number][] = [];
            map.forEachInOrder((value, text) => pairs.push([text, value]));
            expect(pairs).toEqual(between(model, "", undefined));
          } else if ("set" in step) {
            map.set(step.set, step.value);
            model.set(step.set, step.value);
          } else if ("delete" in step) {
            map.delete(step.delete);
            model.delete(step.delete);
          } else {
            const expected = between(model, step.start, step.end);
            expect([...map.within(step.start, step.end, step.reverse)]).toEqual(
              step.reverse ? expected.reverse() : expected,
            );
          }
          expect(map.size).toBe(model.size);
        }
        for (const [text, value] of model) expect(map.get(text)).toBe(value);
      }),
      { numRuns: 500 },
    );
  });
});
