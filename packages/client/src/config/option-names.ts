import { MatrixClientError } from "../errors.ts";

/**
 * Refuses a member that is no option: it was meant to say something, and would
 * say nothing. One that is `undefined` is not given.
 *
 * @param within what stands before the names in messages, such as `probe.`
 * @throws `CONFIG`, naming the member, and the option that it looks like
 */
export function checkNames(given: object, known: readonly string[], within = ""): void {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || known.includes(name)) continue;
    const meant = nearest(name, known);
    const hint = meant === undefined ? "" : `: ${within}${meant} may be meant`;
    throw new MatrixClientError("CONFIG", `${within}${name} is not an option${hint}`);
  }
}

/** The name that differs least, by two letters at most; `undefined` where there is none. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const distances = known.map((one) => ({ one, distance: distance(bare(name), bare(one)) }));
  const [best] = distances.toSorted((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= 2 ? best.one : undefined;
}

/** Without what styles of names differ in. */
function bare(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

/** How many letters are put in, left out or replaced (Levenshtein). */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (const [row, letter] of [...a].entries()) {
    const line = [row + 1];
    for (const [column, other] of [...b].entries()) {
      const [left = 0, diagonal = 0, up = 0] = [line[column], above[column], above[column + 1]];
      line.push(Math.min(left + 1, up + 1, diagonal + (letter === other ? 0 : 1)));
    }
    above = line;
  }
  return above.at(-1) ?? 0;
}
