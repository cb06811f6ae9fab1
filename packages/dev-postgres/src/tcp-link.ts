import { connect, type Socket } from "node:net";
import type { Armed, Damage, Direction } from "./tcp-proxy.ts";

/** What a connection needs of its proxy. */
export interface LinkContext {
  /** Which connection this is, from 1. */
  readonly number: number;
  readonly armed: () => readonly Armed[];
  /** A fault has happened, and waits no more. */
  readonly take: (armed: Armed) => void;
  readonly passed: (direction: Direction, bytes: number) => void;
  readonly delayMs: () => number;
  readonly onClose: () => void;
}

/** One direction of a connection. */
interface Way {
  readonly direction: Direction;
  readonly from: Socket;
  readonly to: Socket;
  /** What has arrived and was not passed on, in order; `undefined` is the end of the stream. */
  readonly waiting: { readonly chunk: Buffer | undefined; readonly dueAt: number }[];
  /** The last bytes that passed: a marker may begin in them. */
  tail: Buffer;
  timer: NodeJS.Timeout | undefined;
}

/** One connection through the proxy: two sockets, and what passes between them. */
export class Link {
  readonly #context: LinkContext;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #ways: readonly Way[];
  #isSilent = false;
  /** What a fault has made of it; silence stays when the proxy's own is over. */
  #damage: Damage | undefined;
  #loss: (() => void) | undefined;
  #isClosed = false;

  constructor(client: Socket, target: { readonly host: string; readonly port: number }, context: LinkContext) {
    this.#context = context;
    this.#client = client;
    this.#server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#ways = [this.#way("toServer", client, this.#server), this.#way("toClient", this.#server, client)];
    for (const socket of [client, this.#server]) {
      // Gone without a word, as far as this end is concerned: the other one is told by the close.
      socket.on("error", () => {});
      socket.on("close", (hadError) => this.#closed(socket, hadError));
    }
  }

  setSilent(isSilent: boolean): void {
    this.#isSilent = isSilent;
    if (this.#silent) return;
    const isHalf = this.#client.destroyed !== this.#server.destroyed;
    if (isHalf) this.sever("cut");
    for (const way of this.#ways) this.#pump(way);
  }

  sever(how: "cut" | "reset"): void {
    for (const socket of [this.#client, this.#server]) {
      if (how === "reset") socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  #way(direction: Direction, from: Socket, to: Socket): Way {
    const way: Way = { direction, from, to, waiting: [], tail: Buffer.alloc(0), timer: undefined };
    const arrived = (chunk: Buffer | undefined): void => {
      way.waiting.push({ chunk, dueAt: performance.now() + this.#context.delayMs() });
      this.#pump(way);
    };
    from.on("data", arrived).on("end", () => arrived(undefined));
    return way;
  }

  /** Passes on what is due. */
  #pump(way: Way): void {
    clearTimeout(way.timer);
    while (!this.#silent && !this.#isClosed) {
      const next = way.waiting[0];
      if (next === undefined) return;
      const waitMs = next.dueAt - performance.now();
      if (waitMs > 0) {
        way.timer = setTimeout(() => this.#pump(way), Math.ceil(waitMs));
        return;
      }
      way.waiting.shift();
      if (next.chunk === undefined) way.to.end();
      else this.#pass(way, next.chunk);
    }
  }

  #pass(way: Way, chunk: Buffer): void {
    if (this.#damage === "lose-answer" && way.direction === "toClient") {
      this.#end(way, Buffer.alloc(0), "cut");
      this.#loss?.();
      return;
    }
    if (this.#damage !== undefined && this.#damage !== "lose-answer") return;
    const { armed, passes } = this.#due(way, chunk);
    const passing = chunk.subarray(0, passes);
    way.tail = Buffer.concat([way.tail, passing]).subarray(-longest(this.#context.armed()));
    this.#context.passed(way.direction, passes);
    if (armed === undefined) {
      this.#write(way, passing);
      return;
    }
    this.#context.take(armed);
    const damage = armed.fault.damage ?? "cut";
    this.#damage = damage;
    if (damage === "lose-answer") {
      this.#write(way, chunk);
      this.#loss = armed.happened;
    } else {
      this.#end(way, passing, damage);
      armed.happened();
    }
  }

  /** The first fault that happens within this chunk, and how many of its bytes pass before. */
  #due(way: Way, chunk: Buffer): { readonly armed: Armed | undefined; readonly passes: number } {
    const mine = this.#context.armed().filter(({ fault: { direction, connection = this.#context.number } }) => {
      return direction === way.direction && connection === this.#context.number;
    });
    let first: Armed | undefined;
    let passes = chunk.length;
    for (const armed of mine) {
      const after = armed.marker === undefined ? armed.remaining : passesMarker(way.tail, chunk, armed.marker);
      if (after > passes || (after === passes && first !== undefined)) continue;
      first = armed;
      passes = after;
    }
    for (const armed of mine) armed.remaining -= passes;
    return { armed: first, passes };
  }

  /** What passes still arrives; then the damage is done. */
  #end(way: Way, passing: Buffer, damage: Damage): void {
    const others = way.to === this.#client ? this.#server : this.#client;
    if (damage === "silence") {
      this.#write(way, passing);
    } else if (damage === "reset") {
      way.to.write(passing, () => this.sever("reset"));
    } else {
      others.destroy();
      way.to.end(passing, () => way.to.destroy());
    }
  }

  #write(way: Way, chunk: Buffer): void {
    if (way.to.write(chunk)) return;
    // As slow as the slower end, lest the proxy keep in memory what nobody reads.
    way.from.pause();
    way.to.once("drain", () => way.from.resume());
  }

  #closed(socket: Socket, hadError: boolean): void {
    const other = socket === this.#client ? this.#server : this.#client;
    if (other.destroyed) {
      this.#isClosed = true;
      for (const way of this.#ways) clearTimeout(way.timer);
      this.#context.onClose();
    } else if (!this.#silent && (hadError || !other.writableEnded)) {
      // In silence nobody hears of it. What an end had said before it left in good order still arrives.
      other.destroy();
    }
  }

  get #silent(): boolean {
    return this.#isSilent || this.#damage === "silence";
  }
}

/** How many bytes of a chunk pass before a marker has passed whole: all, or more than there are. */
function passesMarker(tail: Buffer, chunk: Buffer, marker: Buffer): number {
  const start = tail.subarray(Math.max(0, tail.length - (marker.length - 1)));
  return Buffer.concat([start, chunk]).includes(marker) ? chunk.length : Number.POSITIVE_INFINITY;
}

/** How much of what has passed the markers that wait can still need. */
function longest(armed: readonly Armed[]): number {
  return Math.max(1, ...armed.map(({ marker }) => (marker?.length ?? 1) - 1));
}
