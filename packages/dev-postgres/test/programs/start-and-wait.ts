import { startPostgres } from "../../src/index.ts";

// Starts a server, tells where it is, and waits to be killed.
const server = await startPostgres();
process.stdout.write(`${server.dataDirectory}\n`);
setInterval(() => {}, 1_000);
