import { setTimeout as pause } from "node:timers/promises";
import { isMatrixClientError, type MatrixClient } from "@holdfast/client";
import type { Life } from "../protocol.ts";
import { tell } from "./channel.ts";

/** Says something in each room again and again, and tells of what was acknowledged. */
export class Talk {
  readonly #client: MatrixClient;
  readonly #life: Life;
  #ending = new AbortController();
  #talking: Promise<unknown> = Promise.resolve();
  #said = 0;

  constructor(client: MatrixClient, life: Life) {
    this.#client = client;
    this.#life = life;
  }

  begin(): void {
    this.#ending = new AbortController();
    const { signal } = this.#ending;
    this.#talking = Promise.all(this.#life.rooms.map((roomId) => this.#talkIn(roomId, signal)));
  }

  /** Resolves when everything that was begun has been acknowledged or refused. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#talking;
  }

  async #talkIn(roomId: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#say(roomId);
      await pause(Math.random() * this.#life.pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  async #say(roomId: string): Promise<void> {
    this.#said += 1;
    const text = `${this.#life.signature} says ${this.#said}`;
    try {
      const { eventId } = await this.#client.sendText(roomId, text);
      tell({ told: "sent", roomId, eventId, text });
    } catch (error) {
      if (!isMatrixClientError(error)) throw error;
      tell({ told: "not sent", code: error.code });
    }
  }
}
