import { startDevHomeserver } from "./homeserver.ts";

// Runs a homeserver as a process of its own, until it is interrupted.
const homeserver = await startDevHomeserver({ port: Number(process.argv[2] ?? 0) });
process.stdout.write(`${homeserver.url}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void homeserver.close());
