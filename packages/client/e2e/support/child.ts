import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { keysPublished } from "../../test/support/world.ts";
import type { Ask, Life, Told } from "../programs/life.ts";
import type { Stage } from "./stage.ts";

/** Our client in a process of its own, which can be killed. */
export class Child {
  readonly told: Told[] = [];
  readonly #stage: Stage;
  readonly #device: HomeserverClient;
  readonly #process: ChildProcess;
  readonly #changed = new EventEmitter().setMaxListeners(0);
  readonly #ended: Promise<string>;

  /** @param given default: answers, on the device's SQLite file */
  constructor(stage: Stage, device: HomeserverClient, given: Partial<Pick<Life, "onMessage" | "storage">> = {}) {
    this.#stage = stage;
    this.#device = device;
    const life: Life = {
      homeserver: stage.homeserver.baseUrl,
      accessToken: device.credentials.accessToken,
      storage: given.storage ?? { kind: "sqlite", path: stage.sqlitePath(device) },
      onMessage: given.onMessage ?? "answer",
    };
    const program = new URL("../programs/client.ts", import.meta.url);
    this.#process = fork(program, [JSON.stringify(life)], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    const errors: Buffer[] = [];
    this.#process.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
    this.#process.on("message", (message) => {
      this.told.push(message as Told);
      this.#changed.emit("changed");
    });
    this.#ended = once(this.#process, "exit").then(() => Buffer.concat(errors).toString());
    stage.onEnd(() => this.kill());
  }

  /**
   * Resolves when it has told so; or with what else was waited for, such as a fault.
   *
   * @throws Error where it ends before
   */
  async until<What extends Told["told"]>(what: What): Promise<Extract<Told, { told: What }>> {
    return this.unlessEnded(async () => {
      for (;;) {
        const found = this.told.find((each): each is Extract<Told, { told: What }> => each.told === what);
        if (found !== undefined) return found;
        await once(this.#changed, "changed");
      }
    });
  }

  /**
   * Resolves when it is connected, and others can write to it.
   *
   * @throws Error where it ends before
   */
  async connected(): Promise<Extract<Told, { told: "connected" }>> {
    const told = await this.until("connected");
    await this.unlessEnded(() => keysPublished(this.#stage.homeserver.journal, this.#device.credentials));
    return told;
  }

  /** @throws Error where it ends before `work` does */
  unlessEnded<T>(work: () => Promise<T>): Promise<T> {
    const ended = this.#ended.then((errors) => Promise.reject(new Error(`the process has ended: ${errors}`)));
    ended.catch(() => {});
    return Promise.race([work(), ended]);
  }

  ask(ask: Ask): void {
    this.#process.send(ask);
  }

  /** Ends it as `kill -9` does, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }
}
