import { styleText } from "node:util";

/** Tells a running step how far it is. */
export type Progress = (text: string) => void;

const FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

/** What the demo prints: headings, steps with their progress, log lines, tables. */
export class Story {
  readonly #out: NodeJS.WriteStream;
  #failures = 0;
  /** The line that is being written over, on a terminal. */
  #running = "";

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  /** How many steps and expectations have failed. */
  get failures(): number {
    return this.#failures;
  }

  heading(text: string): void {
    this.#line(`\n${styleText("bold", text)}`);
  }

  line(text = ""): void {
    this.#line(text);
  }

  /** A line of a program's own log, with its level. */
  log(level: string, message: string): void {
    this.#line(`    ${styleText("dim", `${level.padEnd(5)} ${message}`)}`);
  }

  /** Something that must be so: said where it is, and counted as a failure where it is not. */
  expect(holds: boolean, said: string, otherwise: string): void {
    if (holds) {
      this.#line(`  ${styleText("green", "✓")} ${said}`);
    } else {
      this.#failures += 1;
      this.#line(`  ${styleText("red", "✗")} ${otherwise}`);
    }
  }

  /** What was told cannot go on: counted as a failure. */
  broken(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.expect(false, "", `The story breaks off: ${why.length > 400 ? `${why.slice(0, 400)}…` : why}`);
  }

  /** Does something that takes its time, and shows that it is under way: on a terminal in place, elsewhere in lines. */
  async step<T>(title: string, work: (progress: Progress) => Promise<T>): Promise<T> {
    const started = performance.now();
    let [frame, said] = [0, ""];
    const show = (): void => {
      const seconds = ((performance.now() - started) / 1_000).toFixed(1);
      frame = (frame + 1) % FRAMES.length;
      this.#run(
        `  ${this.#out.isTTY ? FRAMES[frame] : "…"} ${title}${said && `: ${said}`} ${styleText("dim", `${seconds} s`)}`,
      );
    };
    const timer = setInterval(show, this.#out.isTTY ? 100 : 2_000);
    try {
      return await work((text) => {
        said = text;
      });
    } finally {
      clearInterval(timer);
      this.#clear();
    }
  }

  /** Rows under their headings, in columns as wide as they need. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = headings.map((heading, column) =>
      Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
    );
    const format = (row: readonly string[]): string =>
      `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd();
    this.#line(styleText("dim", format(headings)));
    for (const row of rows) this.#line(format(row));
  }

  #run(text: string): void {
    if (!this.#out.isTTY) {
      this.#out.write(`${text}\n`);
      return;
    }
    this.#running = text;
    this.#out.write(`\r\u001b[K${text}`);
  }

  #clear(): void {
    if (this.#running !== "") this.#out.write("\r\u001b[K");
    this.#running = "";
  }

  #line(text: string): void {
    const running = this.#running;
    this.#clear();
    this.#out.write(`${text}\n`);
    if (running !== "") this.#run(running);
  }
}
