import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { Link } from "./tcp-link.ts";

/** Which way bytes go: from the client to the server, or back. */
export type Direction = "toServer" | "toClient";

/**
 * What happens to a connection: both its ends are closed (`"cut"`), both are
 * reset (`"reset"`), nothing passes any more though both stay open
 * (`"silence"`), or the server hears everything, and both ends are closed in
 * place of its next answer (`"lose-answer"`).
 */
export type Damage = "cut" | "reset" | "silence" | "lose-answer";

/** A fault that happens once. */
export interface Fault {
  readonly direction: Direction;
  /**
   * Exactly so many bytes still pass in this direction from the arming on, over
   * all connections together or over the one that is named; 0: not one. Either
   * this or `marker`.
   */
  readonly afterBytes?: number | undefined;
  /** Once these bytes have passed whole, on one connection, the rest of the chunk they end in included. */
  readonly marker?: string | Uint8Array | undefined;
  /** Only the n-th connection that the proxy accepted, from 1. Default: whichever it happens on. */
  readonly connection?: number | undefined;
  /** Default: `"cut"`. */
  readonly damage?: Damage | undefined;
}

/**
 * - `"pass"`: everything passes, but for the faults.
 * - `"silence"`: connections are accepted, and nothing passes on any, as behind
 *   a firewall that drops packets: what was sent meanwhile arrives when it ends.
 * - `"refuse"`: connections are refused; those that are open go on.
 */
export type ProxyMode = "pass" | "silence" | "refuse";

export interface TcpProxyOptions {
  /** The server, such as a `DevPostgres`. Host: 127.0.0.1 by default. */
  readonly target: { readonly host?: string | undefined; readonly port: number };
  /** Armed from the start, in this order. */
  readonly faults?: readonly Fault[] | undefined;
  /** How long every chunk is held back, in milliseconds, in order. Default: 0. */
  readonly delayMs?: number | undefined;
}

/** How many bytes have passed, over all connections. */
export interface Traffic {
  readonly toServer: number;
  readonly toClient: number;
}

/** A TCP proxy on 127.0.0.1 that does to connections what networks do. What it does follows from its options and calls. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** The address of a server's database, through this proxy. */
  url(serverUrl: string): string;
  /** The connections that are open now. */
  readonly open: number;
  /** The connections that were ever accepted. */
  readonly accepted: number;
  readonly traffic: Traffic;
  /** Arms a fault; resolves when it has happened. Faults that wait are looked at in the order of their arming. */
  arm(fault: Fault): Promise<void>;
  /** Takes back every fault that has not happened: their promises never settle. */
  disarm(): void;
  /** Holds back every chunk from now on for so many milliseconds. */
  delay(ms: number): void;
  setMode(mode: ProxyMode): Promise<void>;
  /** Where connections lead that are accepted from now on: what a name does after a failover. */
  retarget(target: TcpProxyOptions["target"]): void;
  /** Damages all connections that are open. Default: `"cut"`. */
  severAll(how?: "cut" | "reset"): void;
}

/** A fault that waits. */
export interface Armed {
  readonly fault: Fault;
  readonly marker: Buffer | undefined;
  remaining: number;
  readonly happened: () => void;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new FaultyProxy(options);
  await proxy.listen();
  return proxy;
}

class FaultyProxy implements TcpProxy {
  readonly host = "127.0.0.1";
  #target: { readonly host: string; readonly port: number };
  readonly #links = new Set<Link>();
  readonly #traffic = { toServer: 0, toClient: 0 };
  /** Servers that listen no more, each until its last connection is over. */
  readonly #ended: Promise<void>[] = [];
  #armed: Armed[] = [];
  #server: Server | undefined;
  #mode: ProxyMode = "pass";
  #delayMs: number;
  #port = 0;
  #accepted = 0;

  constructor({ target, faults = [], delayMs = 0 }: TcpProxyOptions) {
    this.#target = { host: target.host ?? "127.0.0.1", port: target.port };
    this.#delayMs = delayMs;
    for (const fault of faults) void this.arm(fault);
  }

  get port(): number {
    return this.#port;
  }

  get open(): number {
    return this.#links.size;
  }

  get accepted(): number {
    return this.#accepted;
  }

  get traffic(): Traffic {
    return { ...this.#traffic };
  }

  url(serverUrl: string): string {
    return Object.assign(new URL(serverUrl), { hostname: this.host, port: String(this.#port) }).href;
  }

  arm(fault: Fault): Promise<void> {
    const { afterBytes, marker } = fault;
    if ((afterBytes === undefined) === (marker === undefined)) throw new Error("a fault has afterBytes or marker");
    if (afterBytes !== undefined && !(Number.isInteger(afterBytes) && afterBytes >= 0)) {
      throw new Error("afterBytes is a whole number, 0 or more");
    }
    return new Promise((happened) => {
      const bytes = marker === undefined ? undefined : Buffer.from(marker as string);
      this.#armed.push({ fault: { ...fault }, marker: bytes, remaining: afterBytes ?? 0, happened });
    });
  }

  disarm(): void {
    this.#armed = [];
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  async setMode(mode: ProxyMode): Promise<void> {
    this.#mode = mode;
    for (const link of this.#links) link.setSilent(mode === "silence");
    if (mode === "refuse") this.#stopListening();
    else if (this.#server === undefined) await this.listen();
  }

  retarget({ host = "127.0.0.1", port }: TcpProxyOptions["target"]): void {
    this.#target = { host, port };
  }

  severAll(how: "cut" | "reset" = "cut"): void {
    for (const link of [...this.#links]) link.sever(how);
  }

  async listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#accepted += 1;
      const link: Link = new Link(client, this.#target, {
        number: this.#accepted,
        armed: () => this.#armed,
        take: (armed) => {
          this.#armed = this.#armed.filter((other) => other !== armed);
        },
        passed: (direction, bytes) => {
          this.#traffic[direction] += bytes;
        },
        delayMs: () => this.#delayMs,
        onClose: () => this.#links.delete(link),
      });
      this.#links.add(link);
      link.setSilent(this.#mode === "silence");
    });
    server.listen(this.#port, this.host);
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the system gave no port");
    this.#port = address.port;
    this.#server = server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disarm();
    this.#stopListening();
    this.severAll();
    await Promise.all(this.#ended);
  }

  /** The port is closed at once; connections that are open go on. */
  #stopListening(): void {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#ended.push(new Promise((resolve) => server.close(() => resolve())));
  }
}
