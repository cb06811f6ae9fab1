import { readFile } from "node:fs/promises";
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, rootCertificates } from "node:tls";
import { isKeyStoreError } from "@holdfast/key-store-core";
import { config } from "./errors.ts";

/** Where a server listens. */
export interface Address {
  /** A name, an address, or the directory of a Unix socket: then it begins with `/`. */
  readonly host: string;
  readonly port: number;
}

/** libpq's `sslmode`, without `allow`, which is taken as `prefer`. */
export type TlsMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";

/** Whether and how a connection is encrypted. */
export interface TlsPlan {
  readonly mode: TlsMode;
  /** Options of Node.js for the handshake, over what the mode says. */
  readonly options: ConnectionOptions;
  /** Files in PEM, read with every connection, so that renewed ones are noticed. */
  readonly rootCertificateFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
}

/** Bytes of the request that asks a server for TLS: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const TLS_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * Opens a connection, encrypted as the plan says, ready for the first message
 * of the protocol. Rejects with the signal's reason when it aborts; the socket
 * is then destroyed, as after every other failure.
 *
 * @throws the error of the socket, or `ERR_KEY_STORE_CONFIG` where the server has no TLS but must
 */
export async function openSocket(address: Address, tls: TlsPlan, signal: AbortSignal): Promise<Socket> {
  const isFile = address.host.startsWith("/");
  const mode = isFile ? "disable" : tls.mode;
  const plain = await openPlain(address, isFile, signal);
  if (mode === "disable") return plain;
  const answer = await askForTls(plain, signal);
  if (answer === "N" && mode === "prefer") return plain;
  if (answer !== "S") {
    plain.destroy();
    if (answer === "N") config(`the server at ${address.host}:${address.port} refuses TLS, and sslmode is ${mode}`);
    // It would have been slipped in by somebody in the middle, or it is not a server of this protocol.
    config("the server answers the request for TLS with something else");
  }
  try {
    return await encrypt(plain, address, tls, signal);
  } catch (error) {
    plain.destroy();
    // As libpq does: a handshake that fails is one more way of not having TLS. A file that cannot be read is not.
    if (mode === "prefer" && !signal.aborted && !isKeyStoreError(error))
      return await openPlain(address, isFile, signal);
    throw error;
  }
}

async function openPlain({ host, port }: Address, isFile: boolean, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = isFile ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port, noDelay: true });
  await settled(socket, "connect", signal);
  return socket;
}

/** What the server answers: one byte, `S` for yes, `N` for no. */
async function askForTls(socket: Socket, signal: AbortSignal): Promise<string> {
  socket.write(TLS_REQUEST);
  await settled(socket, "readable", signal);
  const answer: unknown = socket.read();
  if (Buffer.isBuffer(answer)) return answer.toString("latin1");
  socket.destroy();
  throw lost();
}

async function encrypt(plain: Socket, { host }: Address, tls: TlsPlan, signal: AbortSignal): Promise<Socket> {
  const [ca, cert, key] = await Promise.all([
    tls.rootCertificateFile === "system" ? rootCertificates.slice() : pem(tls.rootCertificateFile),
    pem(tls.certificateFile),
    pem(tls.keyFile),
  ]);
  // libpq: `require` with a root certificate checks as `verify-ca` does.
  const checksIssuer = tls.mode.startsWith("verify") || (tls.mode === "require" && ca !== undefined);
  const socket = connectTls({
    socket: plain,
    ...(isIP(host) ? {} : { servername: host }),
    host,
    rejectUnauthorized: checksIssuer,
    ...(tls.mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...tls.options,
  });
  await settled(socket, "secureConnect", signal);
  return socket;
}

async function pem(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  return readFile(file).catch((error) => config(`the certificate or key cannot be read: ${error.message}`));
}

/** Waits for an event of a socket; a socket that fails, ends or is given up is destroyed. */
function settled(socket: Socket, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      socket.off(event, done).off("error", fail).off("close", closed);
      signal.removeEventListener("abort", abort);
    };
    const done = (): void => {
      forget();
      resolve();
    };
    const fail = (error: unknown): void => {
      forget();
      // What a dead socket says afterwards must not end the program.
      socket.on("error", () => {}).destroy();
      reject(error);
    };
    const closed = (): void => fail(lost());
    const abort = (): void => fail(signal.reason);
    socket.on(event, done).on("error", fail).on("close", closed);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

/** The error of a connection that the other side has closed. */
export function lost(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "CONNECTION_CLOSED" });
}
