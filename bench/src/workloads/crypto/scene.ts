import { DeviceId, OlmMachine as Machine, type OlmMachine, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OpenEngine, Subject } from "../../engines/subject.ts";
import { introduce } from "../../matrix/introduce.ts";
import type { Workload } from "../workload.ts";

/** Another user's device. */
export const PEER = { userId: "@peer:localhost", deviceId: "PEER" } as const;

/** Engine calls, each awaited before the next. */
export type CryptoWorkload = Workload<Scene>;

/** The measured device, and another one, in this process's memory, that it knows and has Olm sessions with. */
export class Scene {
  readonly peer: OlmMachine;
  readonly #subject: Subject<OpenEngine>;
  #engine: OpenEngine;
  #rooms = 0;

  private constructor(subject: Subject<OpenEngine>, engine: OpenEngine, peer: OlmMachine) {
    this.#subject = subject;
    this.#engine = engine;
    this.peer = peer;
  }

  static async set(subject: Subject<OpenEngine>): Promise<Scene> {
    const engine = await subject.open();
    const peer = await Machine.initialize(new UserId(PEER.userId), new DeviceId(PEER.deviceId));
    await introduce(engine.machine, peer);
    return new Scene(subject, engine, peer);
  }

  /** The measured device's engine; another one after every {@link open}. */
  get machine(): OlmMachine {
    return this.#engine.machine;
  }

  /** The names of some rooms that nobody was in before. */
  newRooms(count: number): string[] {
    return Array.from({ length: count }, () => `!room-${this.#rooms++}:localhost`);
  }

  /** Opens the device again, after {@link close}. */
  async open(): Promise<void> {
    this.#engine = await this.#subject.open();
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}
