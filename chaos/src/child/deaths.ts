import type { Death, PointName } from "../protocol.ts";
import { die } from "./channel.ts";

/** Where this process is to die. */
export class Deaths {
  #death: Death | undefined;
  #left = 0;

  arm(death: Death | undefined): void {
    this.#death = death;
    this.#left = death?.nth ?? 0;
  }

  /** The process has come to a point: dies if it is the one. */
  at(point: PointName): void {
    if (this.passes(point)) die();
  }

  /** Whether it is the one to die at. */
  passes(point: PointName): boolean {
    if (this.#death?.point !== point) return false;
    this.#left -= 1;
    return this.#left === 0;
  }
}
