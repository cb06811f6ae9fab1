import { startSynapse } from "../../src/index.ts";

// Starts a server, tells where it is, and waits to be killed.
const server = await startSynapse();
process.stdout.write(`${server.baseUrl}\n`);
setInterval(() => {}, 1_000);
