import { setTimeout as pause } from "node:timers/promises";
import type { Damage } from "@holdfast/dev-postgres";
import type { Random } from "../random.ts";
import type { Database } from "../world.ts";

/** How a PostgreSQL goes away, or the way to it. */
export type OutageName =
  | "cut at a byte"
  | "sever"
  | "silence"
  | "refuse"
  | "delay"
  | "stop immediately"
  | "terminate backends"
  | "restart";

export const OUTAGES: Readonly<Record<OutageName, number>> = {
  "cut at a byte": 35,
  sever: 15,
  silence: 12,
  refuse: 10,
  delay: 5,
  "stop immediately": 8,
  "terminate backends": 10,
  restart: 5,
};

const DAMAGES: Readonly<Record<Damage, number>> = { cut: 3, reset: 3, silence: 2, "lose-answer": 4 };

/** Some are shorter than a commit is tried, some longer. */
const LONGEST_MS = 4_000;

/** Lets the database go away in one way, and come back. */
export async function outage({ server, proxy }: Database, kind: OutageName, random: Random): Promise<void> {
  // Most are short: what they hit is what counts, not how long it is waited for.
  const ms = random.next() ** 3 * LONGEST_MS;
  switch (kind) {
    case "cut at a byte": {
      const direction = random.next() < 0.5 ? "toServer" : "toClient";
      const damage = random.weighted(DAMAGES);
      const cut = proxy.arm({ direction, afterBytes: random.whole(0, 12_000), damage });
      await Promise.race([cut, pause(2_000)]);
      return proxy.disarm();
    }
    case "sever":
      return proxy.severAll(random.next() < 0.5 ? "cut" : "reset");
    case "silence":
      await proxy.setMode("silence");
      await pause(ms);
      return proxy.setMode("pass");
    case "refuse":
      await proxy.setMode("refuse");
      proxy.severAll();
      await pause(ms);
      return proxy.setMode("pass");
    case "delay":
      proxy.delay(random.whole(5, 60));
      await pause(ms);
      return proxy.delay(0);
    case "stop immediately":
      await server.stopImmediate();
      await pause(ms / 2);
      return server.start();
    case "terminate backends":
      await server.terminateBackends();
      return;
    case "restart":
      return server.restart("fast");
  }
}
