import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Fifo } from "../src/fifo.ts";

describe("a queue", () => {
  it("gives what was put in, in order, by whatever mixture of calls", () => {
    const call = fc.oneof(
      { weight: 5, arbitrary: fc.constant("push" as const) },
      { weight: 4, arbitrary: fc.constant("shift" as const) },
      { weight: 1, arbitrary: fc.constant("takeAll" as const) },
      fc.nat({ max: 40 }),
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 300 }), (calls) => {
        const queue = new Fifo<number>();
        let model: number[] = [];
        calls.forEach((each, nth) => {
          if (each === "push") {
            queue.push(nth);
            model.push(nth);
          } else if (each === "shift") expect(queue.shift()).toBe(model.shift());
          else if (each === "takeAll") {
            expect(queue.takeAll()).toEqual(model);
            model = [];
          } else {
            queue.drop(each);
            model.splice(0, each);
          }
          expect(queue.length).toBe(model.length);
          expect(queue.at(0)).toBe(model[0]);
          expect(queue.at(3)).toBe(model[3]);
        });
      }),
    );
  });
});
