import { PostgresKeyStore } from "../../src/index.ts";

// Looks for a server on a port, and closes nothing: the process must end all the same.
const store = new PostgresKeyStore({ host: "127.0.0.1", port: Number(process.argv[2]), connectTimeoutMs: 200 });
console.log(await store.init());
