import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { TestHomeserver } from "@holdfast/dev-homeserver";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startSynapse } from "../src/index.ts";

let server: TestHomeserver;
beforeAll(async () => {
  server = await startSynapse();
});
afterAll(() => server.stop());

it("a Synapse lets users be registered and log in", async () => {
  const name = `alice.${Date.now().toString(36)}`;
  const { userId } = await server.registerUser(name, "secret");
  expect([server.kind, userId]).toEqual(["synapse", `@${name}:localhost`]);
  const login = await fetch(`${server.baseUrl}/_matrix/client/v3/login`, {
    method: "POST",
    body: JSON.stringify({
      type: "m.login.password",
      identifier: { type: "m.id.user", user: name },
      password: "secret",
    }),
  });
  expect(await login.json()).toMatchObject({ user_id: userId });
  await expect(server.registerUser(name, "secret")).rejects.toThrow("M_USER_IN_USE");
});

// One that was given is not ours to end.
const ours = it.skipIf(process.env.SYNAPSE_URL !== undefined);

ours("a Synapse is gone once it is stopped", async () => {
  const other = await startSynapse();
  expect((await fetch(`${other.baseUrl}/_matrix/client/versions`)).status).toBe(200);
  await other.stop();
  await other.stop();
  await expect(fetch(other.baseUrl)).rejects.toThrow("fetch failed");
});

ours("a program that is killed leaves no server", async () => {
  const program = fileURLToPath(new URL("programs/start-and-wait.ts", import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk] = await once(child.stdout, "data");
  const baseUrl = String(chunk).trim();
  expect((await fetch(`${baseUrl}/_matrix/client/versions`)).status).toBe(200);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  const answers = () =>
    fetch(baseUrl).then(
      () => true,
      () => false,
    );
  await expect.poll(answers).toBe(false);
});

it("an address without its secret is refused, and says which variable is missing", async () => {
  const start = startSynapse({ SYNAPSE_URL: "http://127.0.0.1:1" });
  await expect(start).rejects.toMatchObject({
    name: "SynapseUnavailable",
    reason: "misconfigured",
    message: expect.stringContaining("SYNAPSE_REGISTRATION_SHARED_SECRET"),
  });
  const nobody = startSynapse({ SYNAPSE_URL: "http://127.0.0.1:1", SYNAPSE_REGISTRATION_SHARED_SECRET: "s" });
  await expect(nobody).rejects.toMatchObject({ reason: "misconfigured" });
});
